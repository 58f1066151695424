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

    /** The native thread is one that virtual threads run on. */
    public static native void carrier();

    /** A request of java.net.http is about to be made. */
    public static native void decorate(Object request, long context);
}
