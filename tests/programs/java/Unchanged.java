import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.PriorityBlockingQueue;
import java.util.concurrent.RecursiveAction;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** What programs do with tasks that they handed in: the tasks are theirs, and errors come out where they should. */
public final class Unchanged {
    static final class Job implements Runnable, Comparable<Job> {
        private final int order;
        private final List<Object> log;

        Job(int order, List<Object> log) {
            this.order = order;
            this.log = log;
        }

        @Override
        public void run() {
            log.add(order);
        }

        @Override
        public int compareTo(Job other) {
            return Integer.compare(order, other.order);
        }
    }

    public static void main(String[] args) throws Exception {
        System.out.println(System.getenv("JAVA_TOOL_OPTIONS") + " " + System.getenv("JDK_JAVA_OPTIONS"));
        List<Object> log = new ArrayList<>();
        ThreadPoolExecutor sorted = new ThreadPoolExecutor(1, 1, 1, TimeUnit.SECONDS, new PriorityBlockingQueue<>()) {
            @Override
            protected void beforeExecute(Thread thread, Runnable task) {
                if (task instanceof Job) {
                    Job job = (Job) task;
                    job.log.add("before " + job.order);
                }
            }
        };
        Job gone = new Job(2, log);
        CompletableFuture<Void> go = new CompletableFuture<>();
        sorted.execute(go::join);
        sorted.execute(new Job(3, log));
        sorted.execute(gone);
        sorted.execute(new Job(1, log));
        System.out.println((((Job) sorted.getQueue().peek()).order == 1) + " " + sorted.remove(gone));
        go.complete(null);
        sorted.shutdown();
        System.out.println(sorted.awaitTermination(10, TimeUnit.SECONDS) + " " + log);

        ThreadPoolExecutor full = new ThreadPoolExecutor(1, 1, 1, TimeUnit.SECONDS, new LinkedBlockingQueue<>());
        full.shutdown();
        try {
            full.execute(gone);
        } catch (RejectedExecutionException e) {
            System.out.println("rejected " + e.getMessage().contains("Job"));
        }
        try {
            full.execute(null);
        } catch (NullPointerException e) {
            System.out.println("null");
        }

        AtomicInteger ticks = new AtomicInteger();
        CompletableFuture<Void> three = new CompletableFuture<>();
        ScheduledThreadPoolExecutor scheduler = new ScheduledThreadPoolExecutor(1);
        scheduler.scheduleAtFixedRate(() -> {
            if (ticks.incrementAndGet() == 3) {
                three.complete(null);
                throw new IllegalStateException("ends it");
            }
        }, 0, 1, TimeUnit.MILLISECONDS);
        three.get(10, TimeUnit.SECONDS);
        System.out.println(scheduler.submit((Callable<Integer>) ticks::get).get() + " " + scheduler.shutdownNow().size());

        RecursiveAction failing = new RecursiveAction() {
            @Override
            protected void compute() {
                throw new IllegalArgumentException("compute");
            }
        };
        try {
            new ForkJoinPool(2).invoke(failing);
        } catch (IllegalArgumentException e) {
            System.out.println(e.getMessage() + " " + failing.isCompletedAbnormally());
        }
        CompletableFuture<Integer> future = new CompletableFuture<>();
        CompletableFuture<Integer> twice = future.thenApply(n -> n * 2).thenCombine(future, Integer::sum).exceptionally(e -> -1);
        new Thread(() -> future.complete(7)).start();
        System.out.println(twice.get());
    }
}
