package java.util.concurrent;

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import otelrun.Agent;
import sun.nio.ch.SelChImpl;

/**
 * What Netty's HTTP/2 and gRPC call. Many requests share a connection, so it is not what was read last that counts but the stream of which a
 * frame is handed up. A call of gRPC has an executor of its own, in which all of it runs; it is bound to the call's request when
 * its first task comes.
 */
public final class OtelRunStreams {
    /** Executors of calls. */
    private static final OtelRunTable CALLS = new OtelRunTable();

    /** Headers of calls that wait for their channel. */
    private static final OtelRunTable DELAYED = new OtelRunTable();

    private OtelRunStreams() {}

    /** A frame of a stream was read, on the connection that a handler of Netty's stands in. */
    public static void frame(Object handler, int stream) {
        int fd = -1;
        try {
            fd = descriptorOf(handler);
        } catch (Throwable e) {
            // Then it is nobody's.
        }
        Agent.stream(fd, stream);
    }

    /** What comes next on this thread is no stream's. */
    public static void between() {
        Agent.stream(-1, 0);
    }

    /** Whether a field of a header block must leave no trace in tables: the agent may write another value. */
    public static boolean sensitive(Object name, boolean sensitive) {
        return sensitive || name instanceof CharSequence && "traceparent".contentEquals((CharSequence) name);
    }

    /** The channel that a handler of Netty's stands in. */
    static Object channel(Object handler) throws ReflectiveOperationException {
        return CHANNEL.get(handler.getClass()).invoke(handler);
    }

    static int descriptorOf(Object handler) throws ReflectiveOperationException {
        return descriptor(channel(handler));
    }

    private static final Methods CHANNEL = new Methods("io.netty.channel.ChannelHandlerContext", "channel");
    /** Of channels of the native transports. */
    private static final Methods DESCRIPTOR = new Methods("io.netty.channel.unix.UnixChannel", "fd");

    private static final Methods NUMBER = new Methods("io.netty.channel.unix.FileDescriptor", "intValue");

    /** A public method of a public class or interface that a class extends; its name may have something in front. */
    static final class Methods extends ClassValue<Method> {
        private final String of;
        private final String name;

        Methods(String of, String name) {
            this.of = of;
            this.name = name;
        }

        @Override
        protected Method computeValue(Class<?> type) {
            for (Class<?> in = type; in != null; in = in.getSuperclass()) {
                try {
                    if (in.getName().endsWith(of)) {
                        return in.getMethod(name);
                    }
                } catch (NoSuchMethodException e) {
                    return null;
                }
                for (Class<?> each : in.getInterfaces()) {
                    Method found = computeValue(each);
                    if (found != null) {
                        return found;
                    }
                }
            }
            return null;
        }
    }

    /** Of the other ones: the JDK's channel. */
    private static final ClassValue<Field> INNER = new ClassValue<Field>() {
        @Override
        protected Field computeValue(Class<?> type) {
            for (Class<?> in = type; in != null; in = in.getSuperclass()) {
                if (in.getName().endsWith("io.netty.channel.nio.AbstractNioChannel")) {
                    return field(in, "ch");
                }
            }
            return null;
        }
    };

    static int descriptor(Object channel) throws ReflectiveOperationException {
        Field inner = INNER.get(channel.getClass());
        if (inner != null) {
            return ((SelChImpl) inner.get(channel)).getFDVal();
        }
        Object descriptor = DESCRIPTOR.get(channel.getClass()).invoke(channel);
        return (Integer) NUMBER.get(descriptor.getClass()).invoke(descriptor);
    }

    static Field field(Class<?> in, String name) {
        try {
            Field field = in.getDeclaredField(name);
            field.setAccessible(true);
            return field;
        } catch (Exception e) {
            return null;
        }
    }

    /** A task was handed to an executor of gRPC's, which runs one after the other. Some belong to a call, others to a connection. */
    public static void task(Object executor, Object task) {
        try {
            long context = bound(executor);
            if (context == 0) {
                if (!task.getClass().getName().startsWith("io.grpc.internal.ServerImpl$")) {
                    return;
                }
                context = OtelRun.current();
                bind(executor, context);
            }
            if (context != OtelRun.NOBODY) {
                OtelRunTasks.put(task, context, true);
            }
        } catch (Throwable e) {
            // Then it runs without a context.
        }
    }

    public static void run(Runnable task) {
        OtelRun.run(task);
    }

    private static long bound(Object executor) {
        if (CALLS.isEmpty()) {
            return 0;
        }
        int bucket = OtelRunTable.bucket(executor);
        if (!CALLS.lock(bucket)) {
            return OtelRun.NOBODY;
        }
        try {
            OtelRunTable.Entry known = CALLS.find(executor, bucket);
            return known == null ? 0 : known.number;
        } finally {
            CALLS.unlock(bucket);
        }
    }

    private static void bind(Object executor, long context) {
        put(CALLS, executor, context);
    }

    private static void put(OtelRunTable table, Object key, long context) {
        table.forgetCollected();
        int bucket = OtelRunTable.bucket(key);
        if (!table.lock(bucket)) {
            return;
        }
        try {
            OtelRunTable.Entry known = table.find(key, bucket);
            if (known == null) {
                table.add(key, bucket, context);
            } else {
                known.number = context;
            }
        } finally {
            table.unlock(bucket);
        }
    }

    /** The context of a delayed call; 0 where it was none. (Headers belong to one call: gRPC forbids to use them again.) */
    private static long delayedFor(Object headers) {
        int bucket = OtelRunTable.bucket(headers);
        if (!DELAYED.lock(bucket)) {
            return OtelRun.NOBODY;
        }
        try {
            OtelRunTable.Entry known = DELAYED.find(headers, bucket);
            return known == null ? 0 : known.number;
        } finally {
            DELAYED.unlock(bucket);
        }
    }

    /** A call begins that waits for its channel: it will be made with the same headers, by whichever thread has the channel then. */
    public static void delayed(Object headers) {
        try {
            long context = OtelRun.current();
            decorate(headers, context);
            put(DELAYED, headers, context);
        } catch (Throwable e) {
            // Then it has no parent.
        }
    }

    /** A call begins. */
    public static void call(Object call, Object headers) {
        try {
            long context = DELAYED.isEmpty() ? 0 : delayedFor(headers);
            if (context == 0) {
                context = OtelRun.current();
                decorate(headers, context);
            }
            Field executor = EXECUTOR.get(call.getClass());
            if (context != OtelRun.NOBODY && executor != null) {
                bind(executor.get(call), context);
            }
        } catch (Throwable e) {
            // As above.
        }
    }

    private static final ClassValue<Field> EXECUTOR = new ClassValue<Field>() {
        @Override
        protected Field computeValue(Class<?> type) {
            return field(type, "callExecutor");
        }
    };

    private static void decorate(Object headers, long context) throws Exception {
        if (context == OtelRun.NOBODY) {
            return;
        }
        String value = Agent.handedOut(context);
        Headers of = Headers.OF.get(headers.getClass());
        if (value == null) {
            return;
        }
        if (!(Boolean) of.contains.invoke(headers, of.key)) {
            of.put.invoke(headers, of.key, value);
        }
    }

    /** How headers of a call are written (io.grpc.Metadata). */
    private static final class Headers {
        static final ClassValue<Headers> OF = new ClassValue<Headers>() {
            @Override
            protected Headers computeValue(Class<?> type) {
                try {
                    return new Headers(type);
                } catch (ReflectiveOperationException e) {
                    throw new IllegalArgumentException(e);
                }
            }
        };

        final Object key;
        final Method contains;
        final Method put;

        Headers(Class<?> type) throws ReflectiveOperationException {
            ClassLoader loader = type.getClassLoader();
            Class<?> keys = Class.forName(type.getName() + "$Key", true, loader);
            Class<?> ascii = Class.forName(type.getName() + "$AsciiMarshaller", true, loader);
            Object plain = type.getField("ASCII_STRING_MARSHALLER").get(null);
            key = keys.getMethod("of", String.class, ascii).invoke(null, "traceparent", plain);
            contains = type.getMethod("containsKey", keys);
            put = type.getMethod("put", keys, Object.class);
        }
    }
}
