package java.util.concurrent;

import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import otelrun.Agent;

/**
 * What clients of databases call whose one connection all share, and which a thread of Netty's writes: Lettuce and Cassandra's driver.
 * Whom a command is for is remembered when it is handed in, and told to the agent by its place on the connection when it is encoded.
 */
public final class OtelRunCommands {
    private static final OtelRunTable ASKED = new OtelRunTable();

    /** How many bytes were encoded for a channel. */
    private static final OtelRunTable ENCODED = new OtelRunTable();

    /** A number could not be kept: places are not known any more. */
    private static volatile boolean lost;

    private OtelRunCommands() {}

    /** A command (or a message) is handed in. It may be again, by whichever thread has a connection for it then. */
    public static void asked(Object command) {
        try {
            long context = OtelRun.current();
            if (context == OtelRun.NOBODY && ASKED.isEmpty()) {
                return;
            }
            ASKED.forgetCollected();
            int bucket = OtelRunTable.bucket(command);
            if (!ASKED.lock(bucket)) {
                return;
            }
            try {
                if (ASKED.find(command, bucket) == null) {
                    ASKED.add(command, bucket, context);
                }
            } finally {
                ASKED.unlock(bucket);
            }
        } catch (Throwable e) {
            // Then it is nobody's.
        }
    }

    public static void askedAll(Object commands) {
        if (commands instanceof Iterable) {
            for (Object command : (Iterable<?>) commands) {
                asked(command);
            }
        }
    }

    /** For whom; 0: it was not handed in. */
    private static long asker(Object command) {
        int bucket = OtelRunTable.bucket(command);
        if (ASKED.isEmpty() || !ASKED.lock(bucket)) {
            return OtelRun.NOBODY;
        }
        try {
            OtelRunTable.Entry known = ASKED.find(command, bucket);
            return known == null ? 0 : known.number;
        } finally {
            ASKED.unlock(bucket);
        }
    }

    /** A frame of Cassandra's protocol is about to be encoded, of a stream that no other request has now. */
    public static void frame(Object handler, Object frame) {
        try {
            Frames of = Frames.OF.get(frame.getClass());
            if (of.stream == null || of.message == null) {
                return;
            }
            long context = asker(of.message.get(frame));
            // For nobody too: an older one may have been told of and never sent.
            Agent.tell(OtelRunStreams.descriptorOf(handler), of.stream.getInt(frame), context == 0 ? OtelRun.NOBODY : context);
        } catch (Throwable e) {
            // As above.
        }
    }

    private static final class Frames {
        static final ClassValue<Frames> OF = new ClassValue<Frames>() {
            @Override
            protected Frames computeValue(Class<?> type) {
                return new Frames(type);
            }
        };

        final Field stream;
        final Field message;

        Frames(Class<?> type) {
            boolean is = type.getName().endsWith("oss.protocol.internal.Frame");
            stream = is ? OtelRunStreams.field(type, "streamId") : null;
            message = is ? OtelRunStreams.field(type, "message") : null;
        }
    }

    private static final ThreadLocal<Object> HANDLER = new ThreadLocal<>();

    /** Lettuce encodes a command for the connection that this handler stands in. */
    public static void encoding(Object handler) {
        HANDLER.set(handler);
    }

    private static final OtelRunStreams.Methods END = new OtelRunStreams.Methods("io.netty.buffer.ByteBuf", "writerIndex");

    private static final OtelRunStreams.Methods WRAPPED =
        new OtelRunStreams.Methods("io.lettuce.core.protocol.DecoratedCommand", "getDelegate");

    private static final ClassValue<Method> ENCODE = new ClassValue<Method>() {
        @Override
        protected Method computeValue(Class<?> type) {
            for (Class<?> in = type; in != null; in = in.getSuperclass()) {
                for (Class<?> each : in.getInterfaces()) {
                    Method found = each.getName().equals("io.lettuce.core.protocol.RedisCommand") ? encode(each) : computeValue(each);
                    if (found != null) {
                        return found;
                    }
                }
            }
            return null;
        }
    };

    private static Method encode(Class<?> command) {
        for (Method method : command.getMethods()) {
            if (method.getName().equals("encode") && method.getParameterCount() == 1) {
                return method;
            }
        }
        return null;
    }

    /** Stands in for the method of this name: what it throws takes back what it has encoded. */
    public static void encode(Object command, Object out) {
        Object handler = HANDLER.get();
        HANDLER.set(null);
        int before = end(out);
        try {
            ENCODE.get(command.getClass()).invoke(command, out);
        } catch (InvocationTargetException e) {
            OtelRunCommands.<RuntimeException>rethrow(e.getCause());
        } catch (IllegalAccessException e) {
            throw new IllegalStateException(e);
        }
        encoded(handler, command, end(out) - before);
    }

    @SuppressWarnings("unchecked")
    private static <E extends Throwable> void rethrow(Throwable thrown) throws E {
        throw (E) thrown;
    }

    private static int end(Object out) {
        try {
            return (Integer) END.get(out.getClass()).invoke(out);
        } catch (Throwable e) {
            lost = true;
            return 0;
        }
    }

    private static void encoded(Object handler, Object command, int length) {
        if (lost) {
            return;
        }
        try {
            Object channel = OtelRunStreams.channel(handler);
            long place = count(channel, length);
            long context = asker(command);
            for (Object inner = command; context == 0; context = asker(inner)) {
                Method method = WRAPPED.get(inner.getClass());
                inner = method == null ? null : method.invoke(inner);
                if (inner == null) {
                    return;
                }
            }
            if (context != OtelRun.NOBODY && place >= 0) {
                Agent.tell(OtelRunStreams.descriptor(channel), (int) place, context);
            }
        } catch (Throwable e) {
            lost = true;
        }
    }

    /** So many bytes more. Returns how many there were; negative: that is not known. */
    private static long count(Object channel, int length) {
        ENCODED.forgetCollected();
        int bucket = OtelRunTable.bucket(channel);
        if (!ENCODED.lock(bucket)) {
            lost = true;
            return -1;
        }
        try {
            OtelRunTable.Entry known = ENCODED.find(channel, bucket);
            if (known == null) {
                ENCODED.add(channel, bucket, length);
                return 0;
            }
            known.number += length;
            return known.number - length;
        } finally {
            ENCODED.unlock(bucket);
        }
    }
}
