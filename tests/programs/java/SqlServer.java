import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Executors;

/**
 * GET /get?id=7: a statement that names q7, by Microsoft's driver and a pool of four that all requests share. `SqlServer calls OPTIONS`:
 * statements one after the other.
 */
public class SqlServer {
    public static void main(String[] words) throws Exception {
        if (words.length > 0) {
            calls(words[1]);
            return;
        }
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT"))), 64);
        server.setExecutor(Executors.newFixedThreadPool(20));
        BlockingQueue<String> free = new ArrayBlockingQueue<>(4);
        BlockingQueue<Connection> made = new ArrayBlockingQueue<>(4);
        for (int i = 0; i < 4; i++) {
            free.add("");
        }
        server.createContext("/get", exchange -> {
            try {
                free.take();
                Connection connection = made.poll();
                if (connection == null) {
                    connection = connect("encrypt=false");
                }
                String[] values = exchange.getRequestURI().getQuery().split("[=&]");
                try (PreparedStatement statement = connection.prepareStatement("SELECT ? AS q" + values[1])) {
                    statement.setInt(1, 7);
                    statement.executeQuery().next();
                }
                made.add(connection);
                free.add("");
            } catch (InterruptedException | SQLException error) {
                throw new IllegalStateException(error);
            }
            exchange.sendResponseHeaders(200, 2);
            exchange.getResponseBody().write("ok".getBytes());
            exchange.close();
        });
        server.start();
    }

    private static Connection connect(String options) throws SQLException {
        return DriverManager.getConnection("jdbc:sqlserver://127.0.0.1:" + System.getenv("SQLSERVER_PORT") + ";databaseName=tests;" + options,
            "secret", System.getenv("SQLSERVER_PASSWORD"));
    }

    private static void calls(String options) throws SQLException {
        try (Connection connection = connect(options)) {
            try (Statement statement = connection.createStatement()) {
                statement.execute("CREATE TABLE item (id INT, name VARCHAR(50))");
                statement.execute("/* canary */ SELECT 'canary'");
            }
            connection.setAutoCommit(false);
            try (PreparedStatement statement = connection.prepareStatement("INSERT INTO item VALUES (?, ?)")) {
                for (int i = 0; i < 3; i++) {
                    statement.setInt(1, i);
                    statement.setString(2, "canary");
                    statement.addBatch();
                }
                System.out.println(statement.executeBatch().length);
            }
            connection.commit();
            try (PreparedStatement statement = connection.prepareStatement("SELECT id, name FROM item WHERE id < ?")) {
                for (int most : new int[] {1, 2, 3}) {
                    statement.setInt(1, most);
                    ResultSet found = statement.executeQuery();
                    int rows = 0;
                    while (found.next()) {
                        rows++;
                    }
                    System.out.println(rows);
                }
            }
            try (PreparedStatement statement = connection.prepareStatement("SELECT void FROM item")) {
                statement.executeQuery();
            } catch (SQLException error) {
                System.out.println(error.getErrorCode());
            }
            connection.rollback();
            connection.setAutoCommit(true);
            connection.setCatalog("other");
            try (Statement statement = connection.createStatement()) {
                statement.execute("DROP TABLE item");
            }
        }
    }
}
