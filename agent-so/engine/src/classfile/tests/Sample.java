/** All that a method's code can have: both switches, handlers, frames of every kind, objects under construction. */
abstract class Sample {
    static final long LONG = 1L << 40;

    long both(int n, Runnable task, double[] many) {
        switch (n) {
            case 1:
            case 2:
            case 3:
                task.run();
                break;
            case 100000:
                n++;
                break;
            default:
                n--;
        }
        switch (String.valueOf(n)) {
            case "a":
                return LONG;
            default:
                break;
        }
        try {
            for (double one : many) {
                task.run();
                Object made = new StringBuilder(one > 0 ? "more" : "less");
                n += made.hashCode();
            }
        } catch (RuntimeException e) {
            return 0;
        } finally {
            n = -n;
        }
        return n;
    }

    boolean loop(Object o) {
        while (true) {
            if (o.hashCode() == 0) {
                return true;
            }
        }
    }

    static void nothing(long a, String b) {}

    abstract int none();
}
