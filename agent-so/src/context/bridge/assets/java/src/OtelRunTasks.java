package java.util.concurrent;

import java.lang.ref.Reference;
import java.lang.ref.ReferenceQueue;
import java.lang.ref.WeakReference;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;

/**
 * The contexts of tasks that wait, by the identity of the task. Tasks are not wrapped: programs compare, cast and remove
 * them. One that is never run is forgotten when it is collected. What can only run once is for whom it was first handed in
 * (the JDK hands it on by itself). Of what waits several times for different contexts nobody could tell which run is for whom:
 * it has none.
 */
final class OtelRunTasks {
    private static final int BUCKETS = 4096;
    /** Turns of waiting for a bucket that another thread is at; a virtual thread may not yield here. */
    private static final int PATIENCE = 10_000;

    private static final Waiting[] TABLE = new Waiting[BUCKETS];
    private static final AtomicIntegerArray LOCKS = new AtomicIntegerArray(BUCKETS);
    private static final AtomicInteger LIVE = new AtomicInteger();
    private static final ReferenceQueue<Object> COLLECTED = new ReferenceQueue<>();

    private OtelRunTasks() {}

    private static final class Waiting extends WeakReference<Object> {
        final int bucket;
        long context;
        int times = 1;
        Waiting next;

        Waiting(Object task, int bucket, long context, Waiting next) {
            super(task, COLLECTED);
            this.bucket = bucket;
            this.context = context;
            this.next = next;
        }
    }

    private static int bucket(Object task) {
        int hash = System.identityHashCode(task);
        return (hash ^ hash >>> 12) & BUCKETS - 1;
    }

    private static boolean lock(int bucket) {
        for (int i = 0; i < PATIENCE; i++) {
            if (LOCKS.compareAndSet(bucket, 0, 1)) {
                return true;
            }
        }
        return false;
    }

    private static void unlock(int bucket) {
        LOCKS.set(bucket, 0);
    }

    private static Waiting find(Object task, int bucket) {
        Waiting at = TABLE[bucket];
        while (at != null && at.get() != task) {
            at = at.next;
        }
        return at;
    }

    static void put(Object task, long context) {
        boolean nobody = context == OtelRun.NOBODY;
        if (nobody && LIVE.get() == 0) {
            return;
        }
        forgetCollected();
        int bucket = bucket(task);
        if (!lock(bucket)) {
            return;
        }
        try {
            Waiting known = find(task, bucket);
            if (known != null) {
                if (!(task instanceof ForkJoinTask || task instanceof FutureTask)) {
                    known.times++;
                    known.context = known.context == context ? context : OtelRun.NOBODY;
                }
            } else if (!nobody) {
                TABLE[bucket] = new Waiting(task, bucket, context, TABLE[bucket]);
                LIVE.incrementAndGet();
            }
        } finally {
            unlock(bucket);
        }
    }

    static long take(Object task) {
        if (LIVE.get() == 0 || task == null) {
            return OtelRun.NOBODY;
        }
        int bucket = bucket(task);
        if (!lock(bucket)) {
            return OtelRun.NOBODY;
        }
        try {
            Waiting known = find(task, bucket);
            if (known == null) {
                return OtelRun.NOBODY;
            }
            if (--known.times == 0) {
                remove(known);
            }
            return known.context;
        } finally {
            unlock(bucket);
        }
    }

    /** The bucket is locked. */
    private static void remove(Waiting gone) {
        Waiting before = null;
        for (Waiting at = TABLE[gone.bucket]; at != null; before = at, at = at.next) {
            if (at == gone) {
                if (before == null) {
                    TABLE[gone.bucket] = at.next;
                } else {
                    before.next = at.next;
                }
                LIVE.decrementAndGet();
                return;
            }
        }
    }

    private static void forgetCollected() {
        for (Reference<?> gone; (gone = COLLECTED.poll()) != null; ) {
            Waiting waiting = (Waiting) gone;
            if (lock(waiting.bucket)) {
                try {
                    remove(waiting);
                } finally {
                    unlock(waiting.bucket);
                }
            }
        }
    }
}
