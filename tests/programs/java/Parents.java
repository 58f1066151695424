import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.util.Map;
import java.util.Timer;
import java.util.TimerTask;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ForkJoinTask;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RecursiveTask;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

/** One way of handing work on a path: GET /way?id=&delay= calls the upstream's /echo with the same parameters. */
public final class Parents {
    interface Way {
        String call(String url) throws Exception;
    }

    private static final String UPSTREAM = System.getenv("UPSTREAM");
    private static final ExecutorService POOL = Executors.newFixedThreadPool(24);
    private static final ScheduledExecutorService SCHEDULER = Executors.newScheduledThreadPool(24);
    private static final ForkJoinPool FORKS = new ForkJoinPool(24);
    private static final Timer TIMER = new Timer(true);
    private static final HttpClient CLIENT =
        HttpClient.newBuilder().version("2".equals(System.getenv("HTTP_VERSION")) ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1)
            .followRedirects(HttpClient.Redirect.NORMAL).build();
    /** This one asks for HTTP/2: over TLS in the handshake, else by an upgrade of its first request. */
    private static final HttpClient NEWER = HttpClient.newHttpClient();
    private static final byte[] LARGE = "0123456789abcdef".repeat(1 << 15).getBytes(StandardCharsets.ISO_8859_1);

    /** Completes what it is given, on a thread that serves nobody. */
    private static final BlockingQueue<CompletableFuture<Void>> LATER =
        new LinkedBlockingQueue<>();

    /** What /outliving begins waits for /go. */
    private static final CompletableFuture<Void> GO = new CompletableFuture<>();

    private static final Map<String, Way> WAYS = Map.ofEntries(
        Map.entry("/direct", Parents::get),
        Map.entry("/pool", url -> POOL.submit(() -> get(url)).get()),
        Map.entry("/execute", url -> {
            CompletableFuture<String> reply = new CompletableFuture<>();
            POOL.execute(() -> complete(reply, () -> get(url)));
            return reply.get();
        }),
        Map.entry("/nested", url -> POOL.submit(() -> FORKS.submit(() -> get(url)).get()).get()),
        Map.entry("/scheduled", url -> SCHEDULER.schedule(() -> get(url), 15, TimeUnit.MILLISECONDS).get()),
        Map.entry("/timer", url -> {
            CompletableFuture<String> reply = new CompletableFuture<>();
            TIMER.schedule(new TimerTask() {
                @Override
                public void run() {
                    POOL.execute(() -> complete(reply, () -> get(url)));
                }
            }, 10);
            return reply.get();
        }),
        Map.entry("/fork", url -> FORKS.invoke(new Fork(url))),
        Map.entry("/common", url -> ForkJoinTask.adapt(() -> get(url)).fork().join()),
        Map.entry("/parallel", url ->
            FORKS.submit(() -> IntStream.range(0, 1).parallel().mapToObj(n -> unchecked(() -> get(url))).findFirst().get()).get()),
        Map.entry("/supply", url -> CompletableFuture.supplyAsync(() -> unchecked(() -> get(url)), POOL).get()),
        Map.entry("/then", url -> {
            CompletableFuture<Void> later = new CompletableFuture<>();
            CompletableFuture<String> reply = later.thenApply(nothing -> unchecked(() -> get(url)));
            LATER.put(later);
            return reply.get();
        }),
        Map.entry("/then-async", url -> {
            CompletableFuture<Void> later = new CompletableFuture<>();
            CompletableFuture<String> reply = later.thenApplyAsync(nothing -> unchecked(() -> get(url)), POOL);
            LATER.put(later);
            return reply.get();
        }),
        Map.entry("/delayed", url -> CompletableFuture.supplyAsync(
            () -> unchecked(() -> get(url)), CompletableFuture.delayedExecutor(10, TimeUnit.MILLISECONDS, POOL)).get()),
        Map.entry("/client", url -> send(url)),
        Map.entry("/client-async", url -> sendAsync(url).get()),
        Map.entry("/client-later", url -> POOL.submit(() -> {
            Thread.sleep(10);
            return sendAsync(url).get();
        }).get()),
        Map.entry("/client-newer", url ->
            NEWER.sendAsync(HttpRequest.newBuilder(URI.create(url)).build(), HttpResponse.BodyHandlers.ofString()).get().body()),
        Map.entry("/client-then", url -> {
            CompletableFuture<Void> later = new CompletableFuture<>();
            CompletableFuture<String> reply = later.thenCompose(nothing -> sendAsync(url));
            LATER.put(later);
            return reply.get();
        }),
        Map.entry("/outliving", url -> {
            POOL.submit(() -> {
                GO.join();
                return get(url);
            });
            return "later\n";
        }),
        Map.entry("/go", url -> GO.complete(null) + "\n"),
        Map.entry("/own", url -> CLIENT.send(HttpRequest.newBuilder(URI.create(url))
            .header("traceparent", "00-11111111111111111111111111111111-2222222222222222-01").build(),
            HttpResponse.BodyHandlers.ofString()).body()),
        Map.entry("/moved", url -> CLIENT.send(
            HttpRequest.newBuilder(URI.create(url.replace("/echo", "/moved"))).build(), HttpResponse.BodyHandlers.ofString()).body()),
        Map.entry("/post", url -> post(HttpRequest.BodyPublishers.ofByteArray(LARGE), url)),
        Map.entry("/post-chunked", url -> post(
            HttpRequest.BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(LARGE)), url)),
        Map.entry("/post-plain", url -> {
            HttpURLConnection call = (HttpURLConnection) URI.create(url).toURL().openConnection();
            call.setDoOutput(true);
            call.setFixedLengthStreamingMode(LARGE.length);
            call.getOutputStream().write(LARGE);
            try (InputStream body = call.getInputStream()) {
                return new String(body.readAllBytes(), StandardCharsets.UTF_8);
            }
        }),
        Map.entry("/large", url -> new String(LARGE, StandardCharsets.ISO_8859_1)),
        Map.entry("/thread", url -> {
            CompletableFuture<String> reply = new CompletableFuture<>();
            new Thread(() -> complete(reply, () -> get(url))).start();
            return reply.get();
        }),
        Map.entry("/virtual", url -> {
            ExecutorService each = virtual();
            try {
                return each.submit(() -> {
                    Thread.sleep(10);
                    return get(url);
                }).get();
            } finally {
                each.shutdown();
            }
        }),
        Map.entry("/virtual-client", url -> {
            ExecutorService each = virtual();
            try {
                return each.submit(() -> {
                    Thread.sleep(10);
                    return send(url);
                }).get();
            } finally {
                each.shutdown();
            }
        }));

    private static final class Fork extends RecursiveTask<String> {
        private final String url;

        Fork(String url) {
            this.url = url;
        }

        @Override
        protected String compute() {
            return ForkJoinTask.adapt(() -> Parents.get(url)).fork().join();
        }
    }

    public static void main(String[] args) throws Exception {
        Thread completer = new Thread(() -> {
            try {
                while (true) {
                    LATER.take().complete(null);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        completer.setDaemon(true);
        completer.start();
        int port = Integer.parseInt(System.getenv("PORT"));
        InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), port);
        String store = System.getenv("KEYSTORE");
        HttpServer server;
        if (store == null) {
            server = HttpServer.create(address, 64);
        } else {
            server = HttpsServer.create(address, 64);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(keys(store).getKeyManagers(), null, null);
            ((HttpsServer) server).setHttpsConfigurator(new HttpsConfigurator(context));
        }
        server.setExecutor(
            "virtual".equals(System.getenv("SERVE")) ? virtual() : Executors.newFixedThreadPool(24));
        server.createContext("/", Parents::handle);
        server.start();
    }

    static KeyManagerFactory keys(String file) throws Exception {
        KeyStore keys = KeyStore.getInstance("PKCS12");
        try (InputStream in = new FileInputStream(file)) {
            keys.load(in, "secret".toCharArray());
        }
        KeyManagerFactory factory = KeyManagerFactory.getInstance("PKIX");
        factory.init(keys, "secret".toCharArray());
        return factory;
    }

    private static void handle(HttpExchange exchange) throws IOException {
        String query = exchange.getRequestURI().getRawQuery();
        Way way = WAYS.get(exchange.getRequestURI().getPath());
        int status = way == null ? 404 : 200;
        String reply;
        try {
            reply = way == null ? "no such way\n" : way.call(UPSTREAM + "/echo" + (query == null ? "" : "?" + query));
        } catch (Exception e) {
            status = 500;
            reply = e + "\n";
        }
        byte[] body = reply.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private static String get(String url) throws IOException {
        HttpURLConnection call = (HttpURLConnection) URI.create(url).toURL().openConnection();
        try (InputStream body = call.getInputStream()) {
            return new String(body.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static String send(String url) throws Exception {
        return CLIENT.send(HttpRequest.newBuilder(URI.create(url)).build(), HttpResponse.BodyHandlers.ofString()).body();
    }

    private static String post(HttpRequest.BodyPublisher body, String url) throws Exception {
        return CLIENT.send(HttpRequest.newBuilder(URI.create(url)).POST(body).build(), HttpResponse.BodyHandlers.ofString()).body();
    }

    private static CompletableFuture<String> sendAsync(String url) {
        return CLIENT.sendAsync(HttpRequest.newBuilder(URI.create(url)).build(), HttpResponse.BodyHandlers.ofString())
            .thenApply(HttpResponse::body);
    }

    private static String unchecked(Callable<String> call) {
        try {
            return call.call();
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    private static void complete(CompletableFuture<String> reply, Callable<String> call) {
        try {
            reply.complete(call.call());
        } catch (Exception e) {
            reply.completeExceptionally(e);
        }
    }

    private static ExecutorService virtual() {
        try {
            return (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        } catch (ReflectiveOperationException e) {
            throw new UnsupportedOperationException(e);
        }
    }
}
