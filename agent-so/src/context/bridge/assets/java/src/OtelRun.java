package java.util.concurrent;

import otelrun.Agent;

/**
 * What the JDK's own classes call once otel-run's Java bridge has changed them. A context is a number that only the agent
 * understands; {@link #NOBODY} says that there is none. It is kept in the agent's word of the native thread, and for a
 * virtual thread, which changes native threads as it likes, in a thread-local variable.
 *
 * <p>The class stands in this package because every class loader leaves such names to the JDK, and because tasks are run by
 * methods that only this package may call. Nothing in here may throw anything of its own.
 */
public final class OtelRun {
    static final long NOBODY = 1L << 32;

    /** What virtual threads are instances of; null before JDK 21. */
    private static final Class<?> VIRTUAL = virtual();

    private static final ThreadLocal<Long> OF_VIRTUAL = new ThreadLocal<>();

    private OtelRun() {}

    private static Class<?> virtual() {
        try {
            return Class.forName("java.lang.BaseVirtualThread", false, null);
        } catch (Throwable none) {
            return null;
        }
    }

    private static boolean isVirtual() {
        return VIRTUAL != null && VIRTUAL.isInstance(Thread.currentThread());
    }

    private static long ofVirtual() {
        Long context = OF_VIRTUAL.get();
        return context == null ? NOBODY : context;
    }

    static long current() {
        return isVirtual() ? ofVirtual() : Agent.word();
    }

    private static long enter(long context) {
        if (!isVirtual()) {
            return Agent.swap(context);
        }
        long before = ofVirtual();
        OF_VIRTUAL.set(context);
        return before;
    }

    /** Called by the agent on a carrier: a request was read there. Whether that was done by a virtual thread. */
    static boolean read(long context) {
        boolean virtual = isVirtual();
        if (virtual) {
            OF_VIRTUAL.set(context);
        }
        return virtual;
    }

    /** Called by the agent on a carrier: what the virtual thread on it works for; 0 where there is none on it. */
    static long asked() {
        return isVirtual() ? ofVirtual() : 0;
    }

    /** What runs the work of several requests one after the other: by whom such a task was handed in says nothing. */
    private static final String[] SERIAL = {
        "akka.dispatch.",
        "com.google.common.util.concurrent.SequentialExecutor",
        "io.grpc.",
        "io.netty.",
        "io.vertx.core.",
        "java.lang.VirtualThread",
        "java.util.concurrent.SubmissionPublisher",
        "jdk.internal.net.http.",
        "org.apache.pekko.dispatch.",
    };

    /** Tasks of the program's among them. */
    private static final String WRAPPED = "io.grpc.Context$";

    private static final ClassValue<Boolean> IS_SERIAL = new ClassValue<Boolean>() {
        @Override
        protected Boolean computeValue(Class<?> type) {
            for (String start : SERIAL) {
                if (type.getName().startsWith(start)) {
                    return !type.getName().startsWith(WRAPPED);
                }
            }
            return false;
        }
    };

    /** A task was handed in; it will be run by one of the methods below, or never. */
    public static void submitted(Object task) {
        put(task, false);
    }

    /** The same, of one that waits in a queue from which another request's thread may hand it on. */
    public static void queued(Object task) {
        put(task, true);
    }

    private static void put(Object task, boolean once) {
        try {
            if (task != null && !IS_SERIAL.get(task.getClass())) {
                OtelRunTasks.put(task, current(), once);
            }
        } catch (Throwable e) {
            // Then it runs without a context.
        }
    }

    /** Several tasks, of which the first may be run at once and without being handed in. */
    public static void submittedAll(Object tasks) {
        if (tasks instanceof Object[]) {
            for (Object task : (Object[]) tasks) {
                submitted(task);
            }
        }
    }

    /** A virtual thread begins with this task. */
    public static void began(Object task) {
        long context = OtelRunTasks.take(task);
        if (context != NOBODY) {
            enter(context);
        }
    }

    /** Something is ready on a selector's thread. */
    public static void turn() {
        Agent.turn();
    }

    /** What selected is about to serve a request by itself. */
    public static void serves() {
        Agent.serves();
    }

    /** A virtual thread is about to run on this native one. */
    public static void carrier() {
        Agent.carrier();
    }

    public static void run(Runnable task) {
        long before = enter(OtelRunTasks.take(task));
        try {
            task.run();
        } finally {
            enter(before);
        }
    }

    /** What the thread is about to call from in here. */
    static final ThreadLocal<Object> INNER = new ThreadLocal<>();

    /** Whether the method on this object was not called from here. */
    public static boolean outer(Object object) {
        if (INNER.get() == object) {
            INNER.set(null);
            return false;
        }
        return true;
    }

    /** Stands in for the method that runs this task, which was queued. One that is not known is run by {@link #run} already. */
    public static void run(Object task) {
        if (!OtelRunTasks.knows(task)) {
            INNER.set(task);
            ((Runnable) task).run();
            return;
        }
        long before = enter(OtelRunTasks.take(task));
        try {
            INNER.set(task);
            ((Runnable) task).run();
        } finally {
            enter(before);
        }
    }

    public static boolean exec(ForkJoinTask<?> task) {
        long before = enter(OtelRunTasks.take(task));
        try {
            return task.exec();
        } finally {
            enter(before);
        }
    }

    static CompletableFuture<?> fire(CompletableFuture.Completion completion, int mode) {
        long before = enter(OtelRunTasks.take(completion));
        try {
            return completion.tryFire(mode);
        } finally {
            enter(before);
        }
    }

    public static void request(Object request) {
        long context = current();
        if (context != NOBODY) {
            Agent.decorate(request, context);
        }
    }
}
