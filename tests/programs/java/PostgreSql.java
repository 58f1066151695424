import com.sun.net.httpserver.HttpServer;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.concurrent.Executors;

/** JDBC: GET /?id=N&delay=MS runs `SELECT .. AS qN` on a connection of a pool of four; with an argument it runs a few statements. */
public final class PostgreSql {
    private static final String URL = System.getenv("JDBC_URL");

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 0) {
            script();
        } else {
            serve();
        }
    }

    private static void serve() throws Exception {
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(URL);
        config.setMaximumPoolSize(4);
        HikariDataSource pool = new HikariDataSource(config);
        int port = Integer.parseInt(System.getenv("PORT"));
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
        server.setExecutor(Executors.newFixedThreadPool(24));
        server.createContext("/", exchange -> {
            String[] query = exchange.getRequestURI().getQuery().split("[=&]");
            String statement = "SELECT " + query[1] + " AS q" + query[1] + " FROM pg_sleep(?)";
            byte[] body;
            try (Connection connection = pool.getConnection(); PreparedStatement prepared = connection.prepareStatement(statement)) {
                prepared.setDouble(1, Integer.parseInt(query[3]) / 1000.0);
                ResultSet rows = prepared.executeQuery();
                rows.next();
                body = rows.getString(1).getBytes(StandardCharsets.US_ASCII);
            } catch (SQLException failure) {
                throw new IllegalStateException(failure);
            }
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
    }

    private static void script() throws SQLException {
        try (Connection connection = DriverManager.getConnection(URL); Statement statement = connection.createStatement()) {
            statement.execute("CREATE TEMP TABLE people (id int PRIMARY KEY, name text)");
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO people VALUES (?, ?)")) {
                for (int id = 1; id <= 3; id++) {
                    insert.setInt(1, id);
                    insert.setString(2, "canary");
                    insert.addBatch();
                }
                System.out.println(insert.executeBatch().length);
            }
            // From its fifth execution on it has a name.
            try (PreparedStatement select = connection.prepareStatement("SELECT name FROM people WHERE id = ?")) {
                for (int turn = 0; turn < 7; turn++) {
                    select.setInt(1, 1);
                    ResultSet rows = select.executeQuery();
                    rows.next();
                }
            }
            connection.setAutoCommit(false);
            statement.setFetchSize(2);
            ResultSet rows = statement.executeQuery("SELECT id FROM people");
            int count = 0;
            while (rows.next()) {
                count++;
            }
            System.out.println(count);
            connection.commit();
            try {
                statement.executeQuery("SELECT nope");
            } catch (SQLException failure) {
                System.out.println(failure.getSQLState());
            }
            connection.rollback();
        }
    }
}
