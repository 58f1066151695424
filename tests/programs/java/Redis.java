import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.lettuce.core.ClientOptions;
import io.lettuce.core.RedisClient;
import io.lettuce.core.SslOptions;
import io.lettuce.core.api.StatefulRedisConnection;
import java.io.File;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;
import redis.clients.jedis.ConnectionPoolConfig;

/**
 * GET /jedis?id=7, /lettuce?id=7, /async?id=7: a command that names q7, by a pool of four or one connection that all share.
 * /shapes?id=7: four, the second asked for when the first is through, one large; /reactive?id=7. With BEAT nobody asks, too, all
 * the time. With CA Lettuce speaks TLS.
 */
public class Redis {
    public static void main(String[] words) throws Exception {
        int port = Integer.parseInt(System.getenv("REDIS_PORT"));
        ConnectionPoolConfig four = new ConnectionPoolConfig();
        four.setMaxTotal(4);
        redis.clients.jedis.RedisClient jedis =
            redis.clients.jedis.RedisClient.builder().hostAndPort("127.0.0.1", port).poolConfig(four).build();
        StatefulRedisConnection<String, String> lettuce = lettuce(port).connect();
        if (System.getenv("BEAT") != null) {
            Thread beat = new Thread(() -> beat(lettuce));
            beat.setDaemon(true);
            beat.start();
        }
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT"))), 64);
        server.setExecutor(Executors.newFixedThreadPool(20));
        server.createContext("/jedis", exchange -> answer(exchange, jedis.get(key(exchange))));
        server.createContext("/lettuce", exchange -> answer(exchange, lettuce.sync().get(key(exchange))));
        server.createContext("/async", exchange -> lettuce.async().get(key(exchange)).thenAccept(value -> answer(exchange, value)));
        server.createContext("/shapes", exchange -> {
            String key = key(exchange);
            lettuce.async().get(key).thenCompose(value -> lettuce.async().get(key)).toCompletableFuture().join();
            lettuce.sync().set(key, "canary".repeat(50_000));
            answer(exchange, lettuce.sync().get(key));
        });
        server.createContext("/reactive", exchange -> answer(exchange, lettuce.reactive().get(key(exchange)).block()));
        server.start();
    }

    private static RedisClient lettuce(int port) {
        String ca = System.getenv("CA");
        if (ca == null) {
            return RedisClient.create("redis://127.0.0.1:" + port);
        }
        RedisClient client = RedisClient.create("rediss://localhost:" + System.getenv("TLS_PORT"));
        client.setOptions(ClientOptions.builder().sslOptions(SslOptions.builder().trustManager(new File(ca)).build()).build());
        return client;
    }

    private static void beat(StatefulRedisConnection<String, String> connection) {
        try {
            while (true) {
                connection.sync().get("beat");
                Thread.sleep(1);
            }
        } catch (InterruptedException end) {
            Thread.currentThread().interrupt();
        }
    }

    private static String key(HttpExchange exchange) {
        for (String pair : exchange.getRequestURI().getQuery().split("&")) {
            if (pair.startsWith("id=")) {
                return "q" + pair.substring(3);
            }
        }
        throw new IllegalArgumentException("no id");
    }

    private static void answer(HttpExchange exchange, String value) {
        try {
            exchange.sendResponseHeaders(200, 2);
            exchange.getResponseBody().write("ok".getBytes());
            exchange.close();
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }
}
