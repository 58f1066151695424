package java.util.concurrent;

/**
 * The contexts of tasks that wait. Tasks are not wrapped: programs compare, cast and remove them. One that is never run is
 * forgotten when it is collected. What can only run once is for whom it was first handed in (the JDK hands it on by itself).
 * Of what waits several times for different contexts nobody could tell which run is for whom: it has none.
 */
final class OtelRunTasks {
    private static final OtelRunTable WAITING = new OtelRunTable();

    private OtelRunTasks() {}

    /** Stands for the times of what can only run once. */
    private static final int ONCE = -1;

    /**
     * A task was handed in. {@code once}: it runs once, and others may hand it on; then for nobody is an answer too.
     */
    static void put(Object task, long context, boolean once) {
        boolean nobody = context == OtelRun.NOBODY && !once;
        if (nobody && WAITING.isEmpty()) {
            return;
        }
        WAITING.forgetCollected();
        int bucket = OtelRunTable.bucket(task);
        if (!WAITING.lock(bucket)) {
            return;
        }
        try {
            OtelRunTable.Entry known = WAITING.find(task, bucket);
            if (known == null) {
                if (!nobody) {
                    known = WAITING.add(task, bucket, context);
                    if (once || task instanceof ForkJoinTask || task instanceof FutureTask) {
                        known.times = ONCE;
                    }
                }
            } else if (known.times != ONCE) {
                known.times++;
                known.number = known.number == context ? context : OtelRun.NOBODY;
            }
        } finally {
            WAITING.unlock(bucket);
        }
    }

    static boolean knows(Object task) {
        int bucket = OtelRunTable.bucket(task);
        if (WAITING.isEmpty() || !WAITING.lock(bucket)) {
            return false;
        }
        try {
            return WAITING.find(task, bucket) != null;
        } finally {
            WAITING.unlock(bucket);
        }
    }

    static long take(Object task) {
        if (task == null || WAITING.isEmpty()) {
            return OtelRun.NOBODY;
        }
        int bucket = OtelRunTable.bucket(task);
        if (!WAITING.lock(bucket)) {
            return OtelRun.NOBODY;
        }
        try {
            OtelRunTable.Entry known = WAITING.find(task, bucket);
            if (known == null) {
                return OtelRun.NOBODY;
            }
            if (known.times == ONCE || --known.times == 0) {
                WAITING.remove(known);
            }
            return known.number;
        } finally {
            WAITING.unlock(bucket);
        }
    }
}
