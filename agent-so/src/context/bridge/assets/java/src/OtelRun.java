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

    /** A task was handed in; it will be run by one of the methods below, or never. */
    public static void submitted(Object task) {
        try {
            if (task != null) {
                OtelRunTasks.put(task, current());
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
