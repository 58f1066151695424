package otelrun;

/**
 * The agent's functions. They have a class of their own, in no module: binding native methods of a named module's class makes the
 * virtual machine print a warning.
 */
public final class Agent {
    private Agent() {}

    /** The native thread's context, if it still is one. */
    public static native long word();

    /** The native thread works for this from here on. Returns what it was. */
    public static native long swap(long context);

    /** The next thing that is ready on a selector's thread has nothing to do with the one before. */
    public static native void turn();

    /** A selector's thread serves one request now, and selects no more until it is through. */
    public static native void serves();

    /** The native thread is one that virtual threads run on. */
    public static native void carrier();

    /** A request of java.net.http is about to be made. */
    public static native void decorate(Object request, long context);

    /** A frame of this stream was read from this descriptor; where that is negative, what comes next is no stream's. */
    public static native void stream(int descriptor, int stream);

    /** What begins at this place (a number of bytes, or a stream) of what is sent to this descriptor is for this context. */
    public static native void tell(int descriptor, int place, long context);

    /** The header with which a request says that it is made for this context; null where none is wanted. */
    public static native String handedOut(long context);

    /** Whether more is to be learned from a TLS session by this read or write. */
    public static native boolean follows(long session, boolean writing);

    /** The handshake of a session is through, which the client began with these random bytes. */
    public static native void shaken(long session, byte[] random, boolean client);

    /** A session is over. */
    public static native void ended(long session);

    /** A read or write failed for good. */
    public static native void failed(long session, boolean writing);

    /** So many bytes were read from a session; none at its end. */
    public static native void received(long session, byte[] bytes, int from, int count);

    /** So many bytes were written to a session. */
    public static native void sent(long session, byte[] bytes, int count);

    /** These bytes are about to be written to a session, all of them: what is to be written instead, or null. */
    public static native byte[] written(long session, byte[] bytes, int from, int count);

    /** Has these bytes, perhaps with others among them, written by OtelRunTls.send. Returns how many of them that took; -1: none. */
    public static native int wrap(long session, byte[] bytes, int count, Object call);
}
