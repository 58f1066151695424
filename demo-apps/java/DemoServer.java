import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Executors;

/** The JDK's own HTTP server on a thread pool; calls its upstream with HttpURLConnection. */
public final class DemoServer {
    private static final String UPSTREAM =
        System.getenv().getOrDefault("UPSTREAM", "http://127.0.0.1:5001");

    public static void main(String[] args) throws IOException {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        HttpServer server =
            HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 64);
        server.setExecutor(Executors.newFixedThreadPool(24));
        server.createContext("/", exchange -> send(exchange, "text/plain", "hello from java\n"));
        server.createContext("/echo", DemoServer::echo);
        server.createContext("/fetch", DemoServer::fetch);
        server.start();
    }

    private static void echo(HttpExchange exchange) throws IOException {
        try {
            Thread.sleep(Long.parseLong(parameter(exchange, "delay", "0")));
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
        StringBuilder headers = new StringBuilder();
        Map<String, String> sorted = new TreeMap<>();
        exchange.getRequestHeaders().forEach((name, values) -> sorted.put(name.toLowerCase(), String.join(",", values)));
        sorted.forEach((name, value) -> headers.append(headers.isEmpty() ? "" : ",").append(quote(name)).append(':').append(quote(value)));
        send(exchange, "application/json", "{\"id\":" + quote(parameter(exchange, "id", "")) + ",\"headers\":{" + headers + "}}");
    }

    private static void fetch(HttpExchange exchange) throws IOException {
        String query = exchange.getRequestURI().getRawQuery();
        HttpURLConnection call = (HttpURLConnection) URI.create(
            UPSTREAM + "/echo" + (query == null ? "" : "?" + query)).toURL().openConnection();
        String reply;
        try (InputStream body = call.getInputStream()) {
            reply = new String(body.readAllBytes(), StandardCharsets.UTF_8);
        }
        send(exchange, "application/json", "{\"id\":" + quote(parameter(exchange, "id", "")) + ",\"upstream\":" + reply + "}");
    }

    private static String parameter(HttpExchange exchange, String name, String fallback) {
        String query = exchange.getRequestURI().getRawQuery();
        for (String pair : (query == null ? "" : query).split("&")) {
            if (pair.startsWith(name + "=")) {
                return pair.substring(name.length() + 1);
            }
        }
        return fallback;
    }

    private static String quote(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }

    private static void send(HttpExchange exchange, String type, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", type);
        exchange.sendResponseHeaders(200, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }
}
