import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.ConnectivityState;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Server;
import io.grpc.ServerBuilder;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.okhttp.OkHttpChannelBuilder;
import io.grpc.okhttp.OkHttpServerBuilder;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.File;
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
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * A service of gRPC without generated code: {@code serve} (on PORT), and {@code call HOST:PORT CALL...}, which makes all calls at once on one
 * channel and prints what came of each. A call is {@code Kind?id=1&way=http..}; its text is the message.
 *
 * <p>id: also told in the metadata. way: what the service does before it answers, under that id. delay: milliseconds before that. code: the
 * status. count: messages of a stream. timeout: milliseconds. hang: the service answers nothing. enough: the caller cancels after one answer.
 * TRANSPORT: netty, shaded, okhttp; CLIENT: that of the service's own calls, where it is another; EXECUTOR: direct.
 */
public final class Grpc {
    private static final String TRANSPORT = System.getenv().getOrDefault("TRANSPORT", "netty");
    private static final String UPSTREAM = System.getenv("UPSTREAM");
    private static final ExecutorService POOL = Executors.newFixedThreadPool(24);
    private static final HttpClient CLIENT = HttpClient.newHttpClient();
    private static final Metadata.Key<String> ID = key("x-id");
    private static final Context.Key<String> TRACEPARENT = Context.key("traceparent");

    private static ManagedChannel peer;

    private Grpc() {}

    private static Metadata.Key<String> key(String name) {
        return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
    }

    private static final MethodDescriptor.Marshaller<String> TEXT = new MethodDescriptor.Marshaller<String>() {
        @Override
        public InputStream stream(String text) {
            return new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8));
        }

        @Override
        public String parse(InputStream in) {
            try {
                return new String(in.readAllBytes(), StandardCharsets.UTF_8);
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        }
    };

    private static MethodDescriptor<String, String> method(String kind) {
        MethodType type = Map.of("Unary", MethodType.UNARY, "Collect", MethodType.CLIENT_STREAMING,
            "List", MethodType.SERVER_STREAMING, "Chat", MethodType.BIDI_STREAMING).getOrDefault(kind, MethodType.UNARY);
        return MethodDescriptor.newBuilder(TEXT, TEXT).setType(type).setFullMethodName("tests.Calls/" + kind).build();
    }

    private static Map<String, String> options(String text) {
        Map<String, String> options = new HashMap<>();
        for (String pair : text.split("&")) {
            String[] parts = pair.split("=", 2);
            options.put(parts[0], parts[1]);
        }
        return options;
    }

    private static int number(Map<String, String> options, String name, int other) {
        return Integer.parseInt(options.getOrDefault(name, String.valueOf(other)));
    }

    private static String get(String id) throws IOException {
        HttpURLConnection call = (HttpURLConnection) URI.create(UPSTREAM + "/echo?id=" + id).toURL().openConnection();
        try (InputStream body = call.getInputStream()) {
            return new String(body.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static Channel with(Channel channel, String id) {
        Metadata headers = new Metadata();
        headers.put(ID, id);
        return ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(headers));
    }

    private static String ask(String id) {
        return ClientCalls.blockingUnaryCall(with(peer, id), method("Unary"), CallOptions.DEFAULT, "id=" + id);
    }

    /** What is done for a message; {@code then} is called when it is done. */
    private static void work(Map<String, String> options, String id, Runnable then) throws Exception {
        Thread.sleep(number(options, "delay", 0));
        switch (options.getOrDefault("way", "nothing")) {
            case "http":
                get(id);
                break;
            case "pool":
                POOL.submit(() -> get(id)).get();
                break;
            case "context":
                POOL.submit(Context.current().wrap(() -> get(id))).get();
                break;
            case "jdk":
                CLIENT.sendAsync(HttpRequest.newBuilder(URI.create(UPSTREAM + "/echo?id=" + id)).build(),
                    HttpResponse.BodyHandlers.ofString()).get();
                break;
            case "grpc":
                ask(id);
                break;
            case "grpc-pool":
                POOL.submit(() -> ask(id)).get();
                break;
            case "grpc-then":
                ClientCalls.asyncUnaryCall(with(peer, id).newCall(method("Unary"), CallOptions.DEFAULT), "id=" + id, observer(answer -> {
                    get("b" + id);
                    then.run();
                }));
                return;
            default:
                break;
        }
        then.run();
    }

    private interface Takes {
        void take(String text) throws Exception;
    }

    private static StreamObserver<String> observer(Takes takes) {
        return new StreamObserver<String>() {
            @Override
            public void onNext(String answer) {
                try {
                    takes.take(answer);
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
            }

            @Override
            public void onError(Throwable error) {
                error.printStackTrace();
            }

            @Override
            public void onCompleted() {}
        };
    }

    private static String answer(String id, int number) {
        return "id=" + id + "&traceparent=" + TRACEPARENT.get() + "&n=" + number;
    }

    private static void end(Map<String, String> options, StreamObserver<String> answers) {
        int code = number(options, "code", 0);
        if (code == 0) {
            answers.onCompleted();
        } else {
            answers.onError(Status.fromCodeValue(code).withDescription("as asked: 100 %").asRuntimeException());
        }
    }

    private static void one(String message, StreamObserver<String> answers, int count) {
        Map<String, String> options = options(message);
        String id = options.get("id");
        try {
            if (options.containsKey("hang")) {
                System.out.println("got " + id);
                return;
            }
            work(options, id, () -> {
                for (int n = 0; n < count && number(options, "code", 0) == 0; n++) {
                    answers.onNext(answer(id, n));
                }
                end(options, answers);
            });
        } catch (Exception e) {
            answers.onError(e);
        }
    }

    /** Works for the second message, of which the id is the same but for a `b`. */
    private static StreamObserver<String> several(StreamObserver<String> answers, boolean each) {
        return new StreamObserver<String>() {
            private Map<String, String> options;
            private int seen;

            @Override
            public void onNext(String message) {
                options = options(message);
                try {
                    if (++seen == 2) {
                        work(options, options.get("id"), () -> {});
                    }
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
                if (each) {
                    answers.onNext(answer(options.get("id"), seen));
                }
            }

            @Override
            public void onError(Throwable error) {}

            @Override
            public void onCompleted() {
                if (!each && number(options, "code", 0) == 0) {
                    answers.onNext(answer(options.get("id"), seen));
                }
                end(options, answers);
            }
        };
    }

    private static ServerServiceDefinition service() {
        ServerServiceDefinition service = ServerServiceDefinition.builder("tests.Calls")
            .addMethod(method("Unary"), ServerCalls.asyncUnaryCall((message, answers) -> one(message, answers, 1)))
            .addMethod(method("List"), ServerCalls.asyncServerStreamingCall((message, answers) -> one(message, answers, 3)))
            .addMethod(method("Collect"), ServerCalls.asyncClientStreamingCall(answers -> several(answers, false)))
            .addMethod(method("Chat"), ServerCalls.asyncBidiStreamingCall(answers -> several(answers, true)))
            .build();
        return ServerInterceptors.intercept(service, new ServerInterceptor() {
            @Override
            public <A, B> ServerCall.Listener<A> interceptCall(ServerCall<A, B> call, Metadata headers, ServerCallHandler<A, B> next) {
                Iterable<String> values = headers.getAll(key("traceparent"));
                String all = values == null ? "" : String.join(",", values);
                return Contexts.interceptCall(Context.current().withValue(TRACEPARENT, all), call, headers, next);
            }
        });
    }

    private static ServerBuilder<?> builder() throws Exception {
        InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(System.getenv("PORT")));
        String cert = System.getenv("TLS_CERT");
        switch (TRANSPORT) {
            case "shaded":
                return io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder.forAddress(address);
            case "okhttp":
                return OkHttpServerBuilder.forPort(address, io.grpc.InsecureServerCredentials.create());
            default:
                NettyServerBuilder builder = NettyServerBuilder.forAddress(address);
                return cert == null ? builder : builder.useTransportSecurity(new File(cert), new File(System.getenv("TLS_KEY")));
        }
    }

    private static ManagedChannel channel(String target) throws Exception {
        String authorities = System.getenv("TLS_CA");
        ManagedChannelBuilder<?> builder;
        switch (System.getenv().getOrDefault("CLIENT", TRANSPORT)) {
            case "shaded":
                builder = io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder.forTarget(target);
                break;
            case "okhttp":
                builder = OkHttpChannelBuilder.forTarget(target);
                break;
            default:
                NettyChannelBuilder netty = NettyChannelBuilder.forTarget(target);
                if (authorities != null) {
                    return netty.sslContext(GrpcSslContexts.forClient().trustManager(new File(authorities)).build()).build();
                }
                builder = netty;
        }
        return builder.usePlaintext().build();
    }

    private static void serve() throws Exception {
        if (System.getenv("PEER") != null) {
            peer = channel(System.getenv("PEER"));
        }
        ServerBuilder<?> builder = builder().addService(service());
        if ("direct".equals(System.getenv("EXECUTOR"))) {
            builder.directExecutor();
        }
        Server server = builder.build().start();
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        server.awaitTermination();
    }

    private static void call(String target, List<String> calls) throws Exception {
        ManagedChannel channel = channel(target);
        // A deadline is told to the service when the call begins, not when there is a connection.
        for (ConnectivityState state; (state = channel.getState(true)) != ConnectivityState.READY; ) {
            CountDownLatch changed = new CountDownLatch(1);
            channel.notifyWhenStateChanged(state, changed::countDown);
            changed.await();
        }
        CountDownLatch left = new CountDownLatch(calls.size());
        for (String each : calls) {
            String kind = each.substring(0, each.indexOf('?'));
            String text = each.substring(each.indexOf('?') + 1);
            Map<String, String> options = options(text);
            CallOptions how = CallOptions.DEFAULT;
            if (options.containsKey("timeout")) {
                how = how.withDeadlineAfter(number(options, "timeout", 0), TimeUnit.MILLISECONDS);
            }
            List<String> answers = new ArrayList<>();
            Context.CancellableContext context = Context.current().withCancellation();
            StreamObserver<String> observer = new StreamObserver<String>() {
                @Override
                public void onNext(String answer) {
                    answers.add(answer);
                    if (options.containsKey("enough")) {
                        context.cancel(null);
                    }
                }

                @Override
                public void onError(Throwable error) {
                    done(Status.fromThrowable(error).getCode().value());
                }

                @Override
                public void onCompleted() {
                    done(0);
                }

                private void done(int code) {
                    System.out.println(options.get("id") + " " + code + " " + String.join(" ", answers));
                    left.countDown();
                }
            };
            MethodDescriptor<String, String> method = method(kind);
            CallOptions chosen = how;
            context.run(() -> {
                io.grpc.ClientCall<String, String> call = with(channel, options.get("id")).newCall(method, chosen);
                switch (method.getType()) {
                    case UNARY:
                        ClientCalls.asyncUnaryCall(call, text, observer);
                        break;
                    case SERVER_STREAMING:
                        ClientCalls.asyncServerStreamingCall(call, text, observer);
                        break;
                    default:
                        StreamObserver<String> messages = method.getType() == MethodType.CLIENT_STREAMING
                            ? ClientCalls.asyncClientStreamingCall(call, observer)
                            : ClientCalls.asyncBidiStreamingCall(call, observer);
                        for (int n = 0; n < number(options, "count", 3); n++) {
                            messages.onNext(text);
                        }
                        if (!options.containsKey("hang")) {
                            messages.onCompleted();
                        }
                }
            });
        }
        left.await();
        channel.shutdownNow().awaitTermination(10, TimeUnit.SECONDS);
        System.exit(0);
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("serve")) {
            serve();
        } else {
            call(args[1], List.of(args).subList(2, args.length));
        }
    }
}
