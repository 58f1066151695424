package java.util.concurrent;

import java.lang.ref.Reference;
import java.lang.ref.ReferenceQueue;
import java.lang.ref.WeakReference;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;

/** Numbers of objects, by identity, until they are collected. */
class OtelRunTable {
    private static final int BUCKETS = 4096;
    /**
     * Turns of waiting for a bucket that another thread is at, for longer than that thread may have to wait for a processor. Neither
     * sleeping nor yielding: a virtual thread may not do so in here.
     */
    private static final int PATIENCE = 1_000_000;

    private final Entry[] table = new Entry[BUCKETS];
    private final AtomicIntegerArray locks = new AtomicIntegerArray(BUCKETS);
    private final AtomicInteger live = new AtomicInteger();
    private final ReferenceQueue<Object> collected = new ReferenceQueue<>();

    static final class Entry extends WeakReference<Object> {
        final int bucket;
        /** The number. */
        long number;
        /** How often it was put here. */
        int times = 1;
        private Entry next;

        Entry(Object key, OtelRunTable table, int bucket, long number) {
            super(key, table.collected);
            this.bucket = bucket;
            this.number = number;
            this.next = table.table[bucket];
        }
    }

    final boolean isEmpty() {
        return live.get() == 0;
    }

    static int bucket(Object key) {
        int hash = System.identityHashCode(key);
        return (hash ^ hash >>> 12) & BUCKETS - 1;
    }

    final boolean lock(int bucket) {
        for (int i = 0; i < PATIENCE; i++) {
            if (locks.compareAndSet(bucket, 0, 1)) {
                return true;
            }
        }
        return false;
    }

    final void unlock(int bucket) {
        locks.set(bucket, 0);
    }

    /** The bucket is locked, here and below. */
    final Entry find(Object key, int bucket) {
        Entry at = table[bucket];
        while (at != null && at.get() != key) {
            at = at.next;
        }
        return at;
    }

    final Entry add(Object key, int bucket, long number) {
        Entry entry = new Entry(key, this, bucket, number);
        table[bucket] = entry;
        live.incrementAndGet();
        return entry;
    }

    final void remove(Entry gone) {
        Entry before = null;
        for (Entry at = table[gone.bucket]; at != null; before = at, at = at.next) {
            if (at == gone) {
                if (before == null) {
                    table[gone.bucket] = at.next;
                } else {
                    before.next = at.next;
                }
                live.decrementAndGet();
                return;
            }
        }
    }

    /** Called with the number of each object that was collected. */
    void forgotten(long number) {}

    /** No bucket is locked. */
    final void forgetCollected() {
        for (Reference<?> gone; (gone = collected.poll()) != null; ) {
            Entry entry = (Entry) gone;
            if (lock(entry.bucket)) {
                try {
                    remove(entry);
                } finally {
                    unlock(entry.bucket);
                }
            }
            forgotten(entry.number);
        }
    }
}
