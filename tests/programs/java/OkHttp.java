import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import okhttp3.Call;
import okhttp3.Callback;
import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;
import okio.BufferedSink;

/** A server whose handlers call by OkHttp's HTTP/2, all on one connection: GET /way?id= calls the upstream's /echo?id=. */
public final class OkHttp {
    interface Way {
        String call(String url) throws Exception;
    }

    private static final String UPSTREAM = System.getenv("UPSTREAM");
    private static final int AT_ONCE = Integer.parseInt(System.getenv("AT_ONCE"));
    private static final ExecutorService POOL = Executors.newFixedThreadPool(2 * AT_ONCE);
    private static final OkHttpClient OK = new OkHttpClient.Builder()
        .protocols(UPSTREAM.startsWith("https:") ? List.of(Protocol.HTTP_2, Protocol.HTTP_1_1) : List.of(Protocol.H2_PRIOR_KNOWLEDGE))
        .build();
    /** When all have come here all heads are in the connection's buffer, and whoever writes first writes them. */
    private static final CyclicBarrier ALL = new CyclicBarrier(AT_ONCE);
    private static final CyclicBarrier TWICE = new CyclicBarrier(2 * AT_ONCE);

    private static final Map<String, Way> WAYS = Map.of(
        "/get", url -> read(get(url)),
        "/pool", url -> POOL.submit(() -> read(get(url))).get(),
        "/async", url -> enqueue(get(url)),
        "/post", url -> read(post(url, null)),
        "/post-together", url -> read(post(url, ALL)),
        "/post-async", url -> enqueue(post(url, null)),
        "/strangers", url -> {
            CompletableFuture<String> stranger = new CompletableFuture<>();
            new Thread(() -> {
                try {
                    stranger.complete(read(post(url.replace("?id=", "?id=b"), TWICE)));
                } catch (Exception e) {
                    stranger.completeExceptionally(e);
                }
            }).start();
            String own = read(post(url, TWICE));
            return "[" + own + "," + stranger.get() + "]";
        },
        "/own", url -> read(get(url).newBuilder().header("traceparent", "00-11111111111111111111111111111111-2222222222222222-01").build()),
        "/connections", url -> "" + OK.connectionPool().connectionCount());

    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(System.getenv("PORT"));
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 64);
        server.setExecutor(Executors.newFixedThreadPool(AT_ONCE + 4));
        server.createContext("/", OkHttp::handle);
        server.start();
    }

    private static void handle(HttpExchange exchange) throws IOException {
        Way way = WAYS.get(exchange.getRequestURI().getPath());
        int status = way == null ? 404 : 200;
        String reply;
        try {
            reply = way == null ? "no such way\n" : way.call(UPSTREAM + "/echo?" + exchange.getRequestURI().getRawQuery());
        } catch (Exception e) {
            status = 500;
            reply = e + "\n";
        }
        byte[] body = reply.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private static Request get(String url) {
        return new Request.Builder().url(url).build();
    }

    /** With a body of 20000 bytes, which comes after all others have begun. */
    private static Request post(String url, CyclicBarrier together) {
        return new Request.Builder().url(url).post(new RequestBody() {
            @Override
            public MediaType contentType() {
                return null;
            }

            @Override
            public long contentLength() {
                return 20000;
            }

            @Override
            public void writeTo(BufferedSink sink) throws IOException {
                try {
                    if (together != null) {
                        together.await(20, TimeUnit.SECONDS);
                    }
                } catch (Exception e) {
                    throw new IOException(e);
                }
                sink.write(new byte[20000]);
            }
        }).build();
    }

    private static String read(Request request) throws IOException {
        try (Response response = OK.newCall(request).execute()) {
            return response.body().string();
        }
    }

    private static String enqueue(Request request) throws Exception {
        CompletableFuture<String> reply = new CompletableFuture<>();
        OK.newCall(request).enqueue(new Callback() {
            @Override
            public void onFailure(Call call, IOException e) {
                reply.completeExceptionally(e);
            }

            @Override
            public void onResponse(Call call, Response response) throws IOException {
                reply.complete(response.body().string());
            }
        });
        return reply.get();
    }
}
