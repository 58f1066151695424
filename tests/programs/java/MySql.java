import com.sun.net.httpserver.HttpExchange;
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
 * GET /mysql?id=7, /mariadb?id=7: a statement that names q7, by Connector/J or MariaDB's, and a pool of four that all requests
 * share. `MySql calls DRIVER OPTIONS`: statements one after the other.
 */
public class MySql {
    public static void main(String[] words) throws Exception {
        if (words.length > 0) {
            calls(words[1], words[2]);
            return;
        }
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT"))), 64);
        server.setExecutor(Executors.newFixedThreadPool(20));
        for (String driver : new String[] {"mysql", "mariadb"}) {
            BlockingQueue<String> free = new ArrayBlockingQueue<>(4);
            BlockingQueue<Connection> made = new ArrayBlockingQueue<>(4);
            for (int i = 0; i < 4; i++) {
                free.add("");
            }
            server.createContext("/" + driver, exchange -> {
                try {
                    free.take();
                    Connection connection = made.poll();
                    if (connection == null) {
                        connection = connect(driver, "useServerPrepStmts=true");
                    }
                    String[] values = exchange.getRequestURI().getQuery().split("[=&]");
                    try (PreparedStatement statement = connection.prepareStatement("SELECT SLEEP(?) AS q" + values[1])) {
                        statement.setDouble(1, Double.parseDouble(values[3]) / 1000);
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
        }
        server.start();
    }

    private static Connection connect(String driver, String options) throws SQLException {
        String tls = options.contains("ssl") ? "" : driver.equals("mysql") ? "&sslMode=DISABLED" : "&sslMode=disable";
        return DriverManager.getConnection("jdbc:" + driver + "://127.0.0.1:" + System.getenv("MYSQL_PORT") + "/tests?" + options + tls,
            "native", System.getenv("MYSQL_PASSWORD"));
    }

    private static void calls(String driver, String options) throws SQLException {
        try (Connection connection = connect(driver, options)) {
            try (Statement statement = connection.createStatement()) {
                statement.execute("CREATE TEMPORARY TABLE item (id INT, name VARCHAR(50))");
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
                for (int most : new int[] {2, 3}) {
                    statement.setInt(1, most);
                    ResultSet found = statement.executeQuery();
                    int rows = 0;
                    while (found.next()) {
                        rows++;
                    }
                    System.out.println(rows);
                }
            }
            try (PreparedStatement statement = connection.prepareStatement("SELECT nothing FROM item")) {
                statement.executeQuery();
            } catch (SQLException error) {
                System.out.println(error.getErrorCode());
            }
            connection.setCatalog("mysql");
            System.out.println(connection.isValid(5));
        }
    }
}
