package java.util.concurrent;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicLong;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.SSLException;
import otelrun.Agent;

/**
 * What the JDK's TLS calls: its streams and engines have their plaintext seen by the agent, which may write more than the
 * program did. Each method that is changed asks {@link OtelRun#outer} first; if it says yes, the method here stands in for it and calls
 * it again.
 */
public final class OtelRunTls {
    /** No address of another library's object looks like that. */
    private static final AtomicLong NUMBERS = new AtomicLong(Long.MIN_VALUE);

    private static final long STEP = 16;
    /** Most bytes of one call in which a request is looked for. */
    private static final int HEAD_LIMIT = 64 * 1024;

    private static final OtelRunTable SESSIONS = new OtelRunTable() {
        @Override
        void forgotten(long number) {
            if (number != 0) {
                Agent.ended(number);
            }
        }
    };

    private OtelRunTls() {}

    public static boolean outer(Object object) {
        return OtelRun.outer(object);
    }

    /** The number of a socket or engine; 0 once it was closed. */
    private static long number(Object owner) {
        int bucket = OtelRunTable.bucket(owner);
        OtelRunTable.Entry known;
        if (!SESSIONS.lock(bucket)) {
            return 0;
        }
        try {
            known = SESSIONS.find(owner, bucket);
            if (known != null) {
                return known.number;
            }
            known = SESSIONS.add(owner, bucket, NUMBERS.addAndGet(STEP));
        } finally {
            SESSIONS.unlock(bucket);
        }
        SESSIONS.forgetCollected();
        return known.number;
    }

    /** The socket of one of its streams. */
    private static Object owner(Object stream) {
        try {
            return Owner.OF.get(stream.getClass()).get(stream);
        } catch (Throwable e) {
            return stream;
        }
    }

    private static final class Owner extends ClassValue<Field> {
        static final Owner OF = new Owner();

        @Override
        protected Field computeValue(Class<?> stream) {
            for (Field field : stream.getDeclaredFields()) {
                if (field.getType().getName().equals("sun.security.ssl.SSLSocketImpl")) {
                    field.setAccessible(true);
                    return field;
                }
            }
            throw new IllegalArgumentException();
        }
    }

    private static Object field(Object of, String name) throws ReflectiveOperationException {
        for (Class<?> in = of.getClass(); in != null; in = in.getSuperclass()) {
            for (Field field : in.getDeclaredFields()) {
                if (field.getName().equals(name)) {
                    field.setAccessible(true);
                    return field.get(of);
                }
            }
        }
        throw new NoSuchFieldException(name);
    }

    /** The handshake of a transport context is through. */
    public static void shaken(Object context) {
        try {
            Object random = field(field(field(context, "handshakeContext"), "clientHelloRandom"), "randomBytes");
            boolean client = (Boolean) field(field(context, "sslConfig"), "isClientMode");
            Agent.shaken(number(field(context, "transport")), (byte[]) random, client);
        } catch (Throwable e) {
            // Then the other end is not known.
        }
    }

    /** A socket, or the outgoing side of an engine, is closed. */
    public static void closed(Object owner) {
        int bucket = OtelRunTable.bucket(owner);
        if (!SESSIONS.lock(bucket)) {
            return;
        }
        long number;
        try {
            OtelRunTable.Entry known = SESSIONS.find(owner, bucket);
            if (known == null || known.number == 0) {
                return;
            }
            number = known.number;
            known.number = 0;
        } finally {
            SESSIONS.unlock(bucket);
        }
        Agent.ended(number);
    }

    public static int read(Object stream, byte[] bytes, int from, int length) throws IOException {
        long number = number(owner(stream));
        int got;
        try {
            OtelRun.INNER.set(stream);
            got = ((InputStream) stream).read(bytes, from, length);
        } catch (InterruptedIOException e) {
            throw e; // a time-out: to be tried again
        } catch (IOException e) {
            Agent.failed(number, false);
            throw e;
        }
        if (length > 0 && number != 0) {
            Agent.received(number, bytes, from, Math.max(got, 0));
        }
        return got;
    }

    public static void write(Object stream, byte[] bytes, int from, int length) throws IOException {
        long number = number(owner(stream));
        byte[] longer = null;
        if (number != 0 && bytes != null && from >= 0 && length > 0 && length <= bytes.length - from) {
            longer = Agent.written(number, bytes, from, length);
        }
        try {
            OtelRun.INNER.set(stream);
            if (longer == null) {
                ((OutputStream) stream).write(bytes, from, length);
            } else {
                ((OutputStream) stream).write(longer, 0, longer.length);
            }
        } catch (IOException e) {
            Agent.failed(number, true);
            throw e;
        }
    }

    public static SSLEngineResult unwrap(Object object, ByteBuffer net, ByteBuffer[] to, int from, int length)
            throws SSLException {
        SSLEngine engine = (SSLEngine) object;
        int[] before = positions(to, from, length);
        OtelRun.INNER.set(engine);
        SSLEngineResult result = engine.unwrap(net, to, from, length);
        int produced = result.bytesProduced();
        boolean ended = result.getStatus() == SSLEngineResult.Status.CLOSED;
        if (before != null && (produced > 0 || ended)) {
            long number = number(engine);
            if (number != 0 && Agent.follows(number, false)) {
                if (produced > 0) {
                    Agent.received(number, copy(to, from, before, produced), 0, produced);
                }
                if (ended) {
                    Agent.received(number, new byte[0], 0, 0);
                }
            }
        }
        return result;
    }

    public static SSLEngineResult wrap(Object object, ByteBuffer[] of, int from, int length, ByteBuffer net)
            throws SSLException {
        SSLEngine engine = (SSLEngine) object;
        int[] before = positions(of, from, length);
        long all = before == null ? 0 : remaining(of, from, length);
        long number = all == 0 ? 0 : number(engine);
        if (number == 0 || !Agent.follows(number, true)) {
            OtelRun.INNER.set(engine);
            return engine.wrap(of, from, length, net);
        }
        if (engine.getUseClientMode() && engine.getHandshakeStatus() == HandshakeStatus.NOT_HANDSHAKING) {
            return wrapMore(engine, number, of, from, length, net, before, (int) Math.min(all, HEAD_LIMIT));
        }
        OtelRun.INNER.set(engine);
        SSLEngineResult result = engine.wrap(of, from, length, net);
        int consumed = result.bytesConsumed();
        if (consumed > 0) {
            Agent.sent(number, copy(of, from, before, consumed), consumed);
        }
        return result;
    }

    /** A wrap in which a request may begin: the agent makes it, perhaps with more bytes. */
    private static SSLEngineResult wrapMore(
            SSLEngine engine, long number, ByteBuffer[] of, int from, int length, ByteBuffer net, int[] before, int all)
            throws SSLException {
        Wrap wrap = new Wrap(engine, net);
        int consumed = Math.max(Agent.wrap(number, copy(of, from, before, all), all, wrap), 0);
        if (wrap.thrown instanceof SSLException) {
            throw (SSLException) wrap.thrown;
        }
        if (wrap.thrown instanceof RuntimeException) {
            throw (RuntimeException) wrap.thrown;
        }
        if (wrap.thrown instanceof Error) {
            throw (Error) wrap.thrown;
        }
        if (wrap.last == null) { // nothing was called
            OtelRun.INNER.set(engine);
            return engine.wrap(of, from, length, net);
        }
        int left = consumed;
        for (int i = from; left > 0 && i < from + length; i++) {
            int part = Math.min(left, of[i].remaining());
            of[i].position(of[i].position() + part);
            left -= part;
        }
        return new SSLEngineResult(
            wrap.last.getStatus(), wrap.last.getHandshakeStatus(), consumed, wrap.produced);
    }

    /** One call of the program's, which may become several. */
    static final class Wrap {
        final SSLEngine engine;
        final ByteBuffer net;
        SSLEngineResult last;
        Throwable thrown;
        int produced;

        Wrap(SSLEngine engine, ByteBuffer net) {
            this.engine = engine;
            this.net = net;
        }
    }

    /** Called by the agent. How many bytes were taken; -1 where it is to be tried again, -2 where it failed for good. */
    static int send(Object call, byte[] bytes) {
        Wrap wrap = (Wrap) call;
        try {
            OtelRun.INNER.set(wrap.engine);
            SSLEngineResult result = wrap.engine.wrap(new ByteBuffer[] {ByteBuffer.wrap(bytes)}, 0, 1, wrap.net);
            wrap.produced += result.bytesProduced();
            int consumed = result.bytesConsumed();
            if (consumed > 0 || wrap.produced == 0) { // that there is no room for more is no news for who had some taken
                wrap.last = result;
            }
            return consumed > 0 ? consumed : -1;
        } catch (Throwable e) {
            wrap.thrown = e;
            return -2;
        }
    }

    /** Where buffers stand; null where the call is one that must fail. */
    private static int[] positions(ByteBuffer[] buffers, int from, int length) {
        if (buffers == null || from < 0 || length < 0 || length > buffers.length - from) {
            return null;
        }
        int[] at = new int[length];
        for (int i = 0; i < length; i++) {
            if (buffers[from + i] == null) {
                return null;
            }
            at[i] = buffers[from + i].position();
        }
        return at;
    }

    private static long remaining(ByteBuffer[] buffers, int from, int length) {
        long sum = 0;
        for (int i = from; i < from + length; i++) {
            sum += buffers[i].remaining();
        }
        return sum;
    }

    /** So many bytes from where the buffers stood. */
    private static byte[] copy(ByteBuffer[] buffers, int from, int[] before, int count) {
        byte[] bytes = new byte[count];
        int done = 0;
        for (int i = 0; done < count && i < before.length; i++) {
            ByteBuffer part = buffers[from + i].duplicate();
            part.position(before[i]);
            int length = Math.min(count - done, part.remaining());
            part.get(bytes, done, length);
            done += length;
        }
        return bytes;
    }
}
