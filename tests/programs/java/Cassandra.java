import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.DriverException;
import com.datastax.oss.driver.api.core.config.DefaultDriverOption;
import com.datastax.oss.driver.api.core.config.DriverConfigLoader;
import com.datastax.oss.driver.api.core.cql.BatchStatement;
import com.datastax.oss.driver.api.core.cql.BatchType;
import com.datastax.oss.driver.api.core.cql.PreparedStatement;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.concurrent.Executors;

/** GET /sync?id=7, /async?id=7: a statement that names q7, by a session that all share. `Cassandra calls`: one after the other. */
public class Cassandra {
    public static void main(String[] words) throws Exception {
        int port = Integer.parseInt(System.getenv("CASSANDRA_PORT"));
        var options = DriverConfigLoader.programmaticBuilder()
            .withString(DefaultDriverOption.PROTOCOL_VERSION, System.getenv().getOrDefault("CASSANDRA_VERSION", "V5"))
            .withString(DefaultDriverOption.PROTOCOL_COMPRESSION, System.getenv().getOrDefault("CASSANDRA_COMPRESSION", "none"))
            .withDuration(DefaultDriverOption.REQUEST_TIMEOUT, Duration.ofSeconds(20));
        CqlSession session = CqlSession.builder().addContactPoint(new InetSocketAddress("127.0.0.1", port))
            .withLocalDatacenter("datacenter1").withKeyspace("shop").withConfigLoader(options.build()).build();
        if (words.length > 0) {
            calls(session);
            session.close();
            return;
        }
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT"))), 64);
        server.setExecutor(Executors.newFixedThreadPool(20));
        server.createContext("/sync", exchange -> {
            session.execute(text(exchange));
            answer(exchange);
        });
        server.createContext("/async", exchange -> session.executeAsync(text(exchange)).thenAccept(rows -> answer(exchange)));
        server.start();
    }

    private static void calls(CqlSession session) {
        session.execute("INSERT INTO items (id, name) VALUES (21, 'canary')");
        System.out.println(session.execute("SELECT name FROM items WHERE id = 21").one().getString(0).equals("canary"));
        PreparedStatement insert = session.prepare("INSERT INTO items (id, name) VALUES (?, ?)");
        session.execute(insert.bind(22, "canary"));
        session.execute(BatchStatement.newInstance(BatchType.LOGGED, insert.bind(23, "canary"), insert.bind(24, "canary")));
        try {
            session.execute("SELECT 'canary' FROM missing");
        } catch (DriverException error) {
            System.out.println(error.getClass().getSimpleName());
        }
    }

    private static String text(HttpExchange exchange) {
        for (String pair : exchange.getRequestURI().getQuery().split("&")) {
            if (pair.startsWith("id=")) {
                return "SELECT name AS q" + pair.substring(3) + " FROM items WHERE id = 1";
            }
        }
        throw new IllegalArgumentException("no id");
    }

    private static void answer(HttpExchange exchange) {
        try {
            exchange.sendResponseHeaders(200, 2);
            exchange.getResponseBody().write("ok".getBytes());
            exchange.close();
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }
}
