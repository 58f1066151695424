import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import jakarta.servlet.AsyncContext;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import okhttp3.Call;
import okhttp3.Callback;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.util.net.SSLHostConfig;
import org.apache.tomcat.util.net.SSLHostConfigCertificate;
import org.apache.hc.client5.http.async.methods.SimpleHttpRequest;
import org.apache.hc.client5.http.async.methods.SimpleHttpResponse;
import org.apache.hc.client5.http.classic.methods.HttpGet;
import org.apache.hc.client5.http.impl.async.CloseableHttpAsyncClient;
import org.apache.hc.client5.http.impl.async.HttpAsyncClients;
import org.apache.hc.client5.http.impl.classic.CloseableHttpClient;
import org.apache.hc.client5.http.impl.classic.HttpClients;
import org.apache.hc.client5.http.impl.io.PoolingHttpClientConnectionManagerBuilder;
import org.apache.hc.core5.concurrent.FutureCallback;
import org.apache.hc.core5.http.io.entity.EntityUtils;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.util.ssl.SslContextFactory;
import reactor.core.publisher.Mono;
import reactor.netty.http.server.HttpServer;

/** Servers (SERVER) and clients (the path) of libraries: GET /client?id=&delay= calls the upstream's /echo with the same parameters. */
public final class Libraries {
    private static final String UPSTREAM = System.getenv("UPSTREAM");
    /** With one the servers speak TLS. */
    private static final String KEYSTORE = System.getenv("KEYSTORE");
    private static final ExecutorService POOL = Executors.newFixedThreadPool(24);
    private static final ScheduledExecutorService SCHEDULER = Executors.newScheduledThreadPool(24);
    private static final java.net.http.HttpClient JDK =
        java.net.http.HttpClient.newBuilder().version(java.net.http.HttpClient.Version.HTTP_1_1).build();
    private static final CloseableHttpClient APACHE = HttpClients.custom().setConnectionManager(
        PoolingHttpClientConnectionManagerBuilder.create().setMaxConnPerRoute(30).setMaxConnTotal(30).build()).build();
    private static final CloseableHttpAsyncClient APACHE_ASYNC = HttpAsyncClients.createDefault();
    private static final OkHttpClient OK = new OkHttpClient();

    private static final Map<String, Function<String, CompletableFuture<String>>> CLIENTS = Map.of(
        "/plain", url -> CompletableFuture.completedFuture(get(url)),
        "/pool", url -> CompletableFuture.supplyAsync(() -> get(url), POOL),
        "/later", url -> CompletableFuture.supplyAsync(() -> get(url), CompletableFuture.delayedExecutor(20, TimeUnit.MILLISECONDS, POOL)),
        "/jdk", Libraries::jdk,
        "/jdk-later", url -> {
            CompletableFuture<String> reply = new CompletableFuture<>();
            SCHEDULER.schedule(() -> jdk(url).thenAccept(reply::complete), 20, TimeUnit.MILLISECONDS);
            return reply;
        },
        "/apache", url -> CompletableFuture.supplyAsync(() -> apache(url), POOL),
        "/apache-async", Libraries::apacheAsync,
        "/ok", url -> CompletableFuture.supplyAsync(() -> ok(url), POOL),
        "/ok-async", Libraries::okAsync,
        "/reactor", url -> reactor.netty.http.client.HttpClient.create().get().uri(url).responseContent().aggregate().asString()
            .toFuture());

    public static void main(String[] args) throws Exception {
        APACHE_ASYNC.start();
        int port = Integer.parseInt(System.getenv("PORT"));
        switch (System.getenv("SERVER")) {
            case "netty":
                netty(port, new NioEventLoopGroup(2), NioServerSocketChannel.class);
                break;
            case "netty-epoll":
                netty(port, new EpollEventLoopGroup(2), EpollServerSocketChannel.class);
                break;
            case "tomcat":
                tomcat(port, false);
                break;
            case "tomcat-async":
                tomcat(port, true);
                break;
            case "jetty":
                Jetty.serve(port);
                break;
            case "reactor":
                HttpServer.create().host("127.0.0.1").port(port).handle((request, response) ->
                    response.sendString(Mono.defer(() -> Mono.fromFuture(call(request.uri()))))).bindNow().onDispose().block();
                break;
            default:
                throw new IllegalArgumentException();
        }
    }

    private static CompletableFuture<String> call(String target) {
        URI uri = URI.create(target);
        Function<String, CompletableFuture<String>> client = CLIENTS.get(uri.getPath());
        if (client == null) {
            return CompletableFuture.completedFuture("no such client\n");
        }
        return client.apply(UPSTREAM + "/echo?" + uri.getRawQuery());
    }

    private static void netty(int port, EventLoopGroup group, Class<? extends io.netty.channel.ServerChannel> channel)
            throws Exception {
        SslContext tls = KEYSTORE == null ? null : SslContextBuilder.forServer(Parents.keys(KEYSTORE)).sslProvider(SslProvider.JDK).build();
        new ServerBootstrap().group(group).channel(channel).childHandler(new ChannelInitializer<SocketChannel>() {
            @Override
            protected void initChannel(SocketChannel child) {
                if (tls != null) {
                    child.pipeline().addLast(tls.newHandler(child.alloc()));
                }
                child.pipeline().addLast(new HttpServerCodec(), new HttpObjectAggregator(1 << 20), new SimpleChannelInboundHandler<FullHttpRequest>() {
                    @Override
                    protected void channelRead0(ChannelHandlerContext context, FullHttpRequest request) {
                        String target = request.uri();
                        Runnable work = () -> call(target).whenComplete((reply, error) -> {
                            byte[] body = String.valueOf(reply).getBytes(StandardCharsets.UTF_8);
                            DefaultFullHttpResponse response = new DefaultFullHttpResponse(
                                HttpVersion.HTTP_1_1, HttpResponseStatus.OK, Unpooled.wrappedBuffer(body));
                            response.headers().set("Content-Length", body.length);
                            context.writeAndFlush(response);
                        });
                        if (target.contains("loop=later")) {
                            context.executor().schedule(work, 15, TimeUnit.MILLISECONDS);
                        } else {
                            work.run();
                        }
                    }
                });
            }
        }).bind("127.0.0.1", port).sync().channel().closeFuture().sync();
    }

    private static void tomcat(int port, boolean async) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(Files.createTempDirectory("tomcat").toString());
        tomcat.setPort(port);
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        if (KEYSTORE != null) {
            SSLHostConfig host = new SSLHostConfig();
            SSLHostConfigCertificate certificate = new SSLHostConfigCertificate(host, SSLHostConfigCertificate.Type.UNDEFINED);
            certificate.setCertificateKeystoreFile(KEYSTORE);
            certificate.setCertificateKeystorePassword("secret");
            host.addCertificate(certificate);
            tomcat.getConnector().setProperty("SSLEnabled", "true");
            tomcat.getConnector().setSecure(true);
            tomcat.getConnector().setScheme("https");
            tomcat.getConnector().addSslHostConfig(host);
        }
        Context context = tomcat.addContext("", null);
        Tomcat.addServlet(context, "all", new HttpServlet() {
            @Override
            protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
                String target = request.getRequestURI() + "?" + request.getQueryString();
                if (!async) {
                    response.getOutputStream().print(call(target).join());
                    return;
                }
                AsyncContext later = request.startAsync();
                call(target).whenComplete((reply, error) -> {
                    try {
                        later.getResponse().getOutputStream().print(reply);
                    } catch (IOException e) {
                        throw new IllegalStateException(e);
                    }
                    later.complete();
                });
            }
        }).setAsyncSupported(true);
        context.addServletMappingDecoded("/*", "all");
        tomcat.start();
        tomcat.getServer().await();
    }

    /** In a class of its own: Java 11 cannot load Jetty. */
    private static final class Jetty {
        static void serve(int port) throws Exception {
            Server server = new Server();
            SslContextFactory.Server tls = new SslContextFactory.Server();
            tls.setKeyStorePath(KEYSTORE);
            tls.setKeyStorePassword("secret");
            ServerConnector connector = KEYSTORE == null ? new ServerConnector(server) : new ServerConnector(server, tls);
            connector.setHost("127.0.0.1");
            connector.setPort(port);
            server.addConnector(connector);
            server.setHandler(new Handler.Abstract() {
                @Override
                public boolean handle(
                        org.eclipse.jetty.server.Request request, org.eclipse.jetty.server.Response response, org.eclipse.jetty.util.Callback callback) {
                    call(request.getHttpURI().getPathQuery()).whenComplete((reply, error) ->
                        response.write(true, ByteBuffer.wrap(String.valueOf(reply).getBytes(StandardCharsets.UTF_8)), callback));
                    return true;
                }
            });
            server.start();
            server.join();
        }
    }

    private static String get(String url) {
        try {
            HttpURLConnection call = (HttpURLConnection) URI.create(url).toURL().openConnection();
            try (InputStream body = call.getInputStream()) {
                return new String(body.readAllBytes(), StandardCharsets.UTF_8);
            }
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static CompletableFuture<String> jdk(String url) {
        return JDK.sendAsync(HttpRequest.newBuilder(URI.create(url)).build(), HttpResponse.BodyHandlers.ofString())
            .thenApply(HttpResponse::body);
    }

    private static String apache(String url) {
        try {
            return APACHE.execute(new HttpGet(url), response -> EntityUtils.toString(response.getEntity()));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static CompletableFuture<String> apacheAsync(String url) {
        CompletableFuture<String> reply = new CompletableFuture<>();
        APACHE_ASYNC.execute(SimpleHttpRequest.create("GET", url), new FutureCallback<SimpleHttpResponse>() {
            @Override
            public void completed(SimpleHttpResponse response) {
                reply.complete(response.getBodyText());
            }

            @Override
            public void failed(Exception e) {
                reply.completeExceptionally(e);
            }

            @Override
            public void cancelled() {
                reply.cancel(false);
            }
        });
        return reply;
    }

    private static String ok(String url) {
        try (Response response = OK.newCall(new Request.Builder().url(url).build()).execute()) {
            return response.body().string();
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static CompletableFuture<String> okAsync(String url) {
        CompletableFuture<String> reply = new CompletableFuture<>();
        OK.newCall(new Request.Builder().url(url).build()).enqueue(new Callback() {
            @Override
            public void onFailure(Call call, IOException e) {
                reply.completeExceptionally(e);
            }

            @Override
            public void onResponse(Call call, Response response) throws IOException {
                reply.complete(response.body().string());
            }
        });
        return reply;
    }
}
