//! Which methods of which Java classes are changed.
//!
//! A rule that finds nothing to change is for another version of the class: then what it would have carried has no context.
//! The exception are those whose absence would give a wrong one: a JDK that has their class but not their method gets no bridge.

use agent_engine::classfile::{Argument, Call, Change, Rule};
use agent_engine::config::instrumentation::Instrumentation;

/// Internal names of the classes whose methods are called.
pub(super) const TASKS: &str = "java/util/concurrent/OtelRun";
const TLS: &str = "java/util/concurrent/OtelRunTls";
const STREAMS: &str = "java/util/concurrent/OtelRunStreams";
const COMMANDS: &str = "java/util/concurrent/OtelRunCommands";
const OKHTTP: &str = "java/util/concurrent/OtelRunOkHttp";

/// The rules for a class.
pub(super) struct Class {
    pub(super) name: &'static str,
    pub(super) rules: &'static [Rule],
    /// Each rule must find its method.
    pub(super) required: bool,
    /// Whose methods are called.
    pub(super) helper: &'static str,
}

impl Class {
    /// What they are for.
    pub(super) fn instrumentation(&self) -> Instrumentation {
        match self.helper {
            TLS => Instrumentation::Jsse,
            _ => Instrumentation::Java,
        }
    }
}

const RUN: Call = Call {
    class: "java/lang/Runnable",
    name: "run",
    descriptor: "()V",
};

const RUN_BY_US: Change = Change::Replace {
    call: RUN,
    name: "run",
    descriptor: "(Ljava/lang/Runnable;)V",
};

const fn tell(parameter: &'static str) -> Change {
    Change::Tell {
        name: "submitted",
        argument: Argument::Of(parameter),
    }
}

const fn rule(method: &'static str, change: Change) -> Rule {
    Rule {
        method,
        descriptor: "",
        change,
    }
}

const fn class(name: &'static str, rules: &'static [Rule]) -> Class {
    Class {
        name,
        rules,
        required: false,
        helper: TASKS,
    }
}

const fn of_tls(name: &'static str, rules: &'static [Rule]) -> Class {
    Class {
        helper: TLS,
        ..class(name, rules)
    }
}

const fn of_streams(name: &'static str, rules: &'static [Rule]) -> Class {
    Class {
        helper: STREAMS,
        ..class(name, rules)
    }
}

const fn of_commands(name: &'static str, rules: &'static [Rule]) -> Class {
    Class {
        helper: COMMANDS,
        ..class(name, rules)
    }
}

/// Netty tells of a frame of a stream.
const fn frame(method: &'static str) -> Rule {
    rule(
        method,
        Change::TellBoth {
            name: "frame",
            arguments: [Argument::Of("Lio/"), Argument::Of("I")],
        },
    )
}

/// What Netty goes on with is no stream's.
const fn between(method: &'static str) -> Rule {
    rule(method, Change::Notify { name: "between" })
}

/// The method stands in for itself: see `OtelRunTls`.
const fn delegate(method: &'static str, descriptor: &'static str) -> Rule {
    Rule {
        method,
        descriptor,
        change: Change::Delegate {
            guard: "outer",
            name: method,
        },
    }
}

const fn tell_this(method: &'static str, name: &'static str) -> Rule {
    rule(
        method,
        Change::Tell {
            name,
            argument: Argument::This,
        },
    )
}

const TASK: &str = "Ljava/util/concurrent/ForkJoinTask";

const REQUEST: Rule = rule(
    "<init>",
    Change::Tell {
        name: "request",
        argument: Argument::Of("Ljdk/internal/net/http/HttpRequestImpl;"),
    },
);
const SERVES: Change = Change::Notify { name: "serves" };
const QUEUED: Change = Change::Tell {
    name: "queued",
    argument: Argument::Of("Lokhttp3/"),
};
/// An executor in which all tasks of one call run.
const CALL_TASK: Rule = rule(
    "execute",
    Change::TellBoth {
        name: "task",
        arguments: [Argument::This, Argument::Of("Ljava/lang/Runnable;")],
    },
);
const fn asked(name: &'static str, parameter: &'static str) -> Change {
    Change::Tell {
        name,
        argument: Argument::Of(parameter),
    }
}
const HANDLER: Argument = Argument::Of("Lio/netty/channel/ChannelHandlerContext;");
/// A frame of Cassandra's is about to be encoded.
const fn encodes(method: &'static str, frame: &'static str) -> Rule {
    Rule {
        method,
        descriptor: frame,
        change: Change::TellBoth {
            name: "frame",
            arguments: [HANDLER, Argument::Of(frame)],
        },
    }
}
const HEADERS: Argument = Argument::Of("Lio/grpc/Metadata;");
const READ: Rule = delegate("read", "([BII)I");
const WRITE: Rule = delegate("write", "([BII)V");

pub(super) static CLASSES: [Class; 41] = [
    class(
        "java/util/concurrent/ThreadPoolExecutor",
        &[
            rule("execute", tell("Ljava/lang/Runnable;")),
            rule("runWorker", RUN_BY_US),
        ],
    ),
    class(
        "java/util/concurrent/ScheduledThreadPoolExecutor",
        &[rule(
            "delayedExecute",
            tell("Ljava/util/concurrent/RunnableScheduledFuture;"),
        )],
    ),
    // Each version has some of these; a task may pass several.
    class(
        "java/util/concurrent/ForkJoinPool",
        &[
            rule("externalPush", tell(TASK)),
            rule("externalSubmit", tell(TASK)),
            rule("poolSubmit", tell(TASK)),
            rule(
                "scheduleDelayedTask",
                tell("Ljava/util/concurrent/DelayScheduler$ScheduledForkJoinTask;"),
            ),
        ],
    ),
    class(
        "java/util/concurrent/ForkJoinPool$WorkQueue",
        &[rule("push", tell(TASK)), rule("lockedPush", tell(TASK))],
    ),
    class(
        "java/util/concurrent/ForkJoinTask",
        &[
            rule(
                "doExec",
                Change::Replace {
                    call: Call {
                        class: "java/util/concurrent/ForkJoinTask",
                        name: "exec",
                        descriptor: "()Z",
                    },
                    name: "exec",
                    descriptor: "(Ljava/util/concurrent/ForkJoinTask;)Z",
                },
            ),
            // These may run a task at once.
            tell_this("invoke", "submitted"),
            tell_this("quietlyInvoke", "submitted"),
            rule("invokeAll", tell(TASK)),
            rule(
                "invokeAll",
                Change::Tell {
                    name: "submittedAll",
                    argument: Argument::Of("[Ljava/util/concurrent/ForkJoinTask;"),
                },
            ),
        ],
    ),
    class(
        "java/util/concurrent/CompletableFuture",
        &[
            rule(
                "tryPushStack",
                tell("Ljava/util/concurrent/CompletableFuture$Completion;"),
            ),
            rule(
                "postComplete",
                Change::Replace {
                    call: Call {
                        class: "java/util/concurrent/CompletableFuture$Completion",
                        name: "tryFire",
                        descriptor: "(I)Ljava/util/concurrent/CompletableFuture;",
                    },
                    name: "fire",
                    descriptor: "(Ljava/util/concurrent/CompletableFuture$Completion;I)Ljava/util/concurrent/CompletableFuture;",
                },
            ),
        ],
    ),
    class(
        "java/util/Timer",
        &[rule("sched", tell("Ljava/util/TimerTask;"))],
    ),
    class(
        "java/util/TimerThread",
        &[rule(
            "mainLoop",
            Change::Replace {
                call: Call {
                    class: "java/util/TimerTask",
                    ..RUN
                },
                name: "run",
                descriptor: "(Ljava/lang/Runnable;)V",
            },
        )],
    ),
    Class {
        name: "java/lang/VirtualThread",
        rules: &[
            rule("<init>", tell("Ljava/lang/Runnable;")),
            Rule {
                method: "run",
                descriptor: "(Ljava/lang/Runnable;)V",
                change: Change::Tell {
                    name: "began",
                    argument: Argument::Of("Ljava/lang/Runnable;"),
                },
            },
            rule("runContinuation", Change::Notify { name: "carrier" }),
        ],
        required: true,
        helper: TASKS,
    },
    Class {
        name: "sun/nio/ch/SelectionKeyImpl",
        rules: &[rule("readyOps", Change::Notify { name: "turn" })],
        required: true,
        helper: TASKS,
    },
    // The program's call, and each exchange that it takes: a request that is redirected is another one.
    class("jdk/internal/net/http/MultiExchange", &[REQUEST]),
    class("jdk/internal/net/http/Exchange", &[REQUEST]),
    of_tls(
        "sun/security/ssl/SSLEngineImpl",
        &[
            delegate("wrap", "([Ljava/nio/ByteBuffer;IILjava/nio/ByteBuffer;)"),
            delegate("unwrap", "(Ljava/nio/ByteBuffer;[Ljava/nio/ByteBuffer;II)"),
            tell_this("closeOutbound", "closed"),
        ],
    ),
    of_tls(
        "sun/security/ssl/SSLSocketImpl",
        &[tell_this("close", "closed")],
    ),
    of_tls("sun/security/ssl/SSLSocketImpl$AppInputStream", &[READ]),
    of_tls("sun/security/ssl/SSLSocketImpl$AppOutputStream", &[WRITE]),
    // Until Java 8u251.
    of_tls("sun/security/ssl/AppInputStream", &[READ]),
    of_tls("sun/security/ssl/AppOutputStream", &[WRITE]),
    of_tls(
        "sun/security/ssl/TransportContext",
        &[tell_this("finishHandshake", "shaken")],
    ),
    // Executors of event loops: what they run is nobody's until it reads a request. (Who hands work in there says nothing: pools of
    // connections hand the next request on from wherever one was finished.)
    class(
        "io/netty/util/concurrent/AbstractEventExecutor",
        &[rule("safeExecute", RUN_BY_US), rule("runTask", RUN_BY_US)],
    ),
    class(
        "org/eclipse/jetty/util/thread/QueuedThreadPool",
        &[rule("runJob", RUN_BY_US)],
    ),
    // These threads serve what they have selected.
    class(
        "sun/net/httpserver/ServerImpl$Exchange",
        &[rule("run", SERVES)],
    ),
    class(
        "org/eclipse/jetty/util/thread/strategy/AdaptiveExecutionStrategy",
        &[rule("runTask", SERVES)],
    ),
    class(
        "org/eclipse/jetty/util/thread/strategy/EatWhatYouKill",
        &[rule("runTask", SERVES)],
    ),
    // A request waits for a connection, which another one's thread may give it.
    class(
        "reactor/netty/resources/DefaultPooledConnectionProvider$DisposableAcquire",
        &[tell_this("onSubscribe", "queued"), delegate("run", "()V")],
    ),
    // The native transport asks for each descriptor that is ready.
    class(
        "io/netty/channel/epoll/EpollEventArray",
        &[rule("fd", Change::Notify { name: "turn" })],
    ),
    // The frames of HTTP/2, server and client.
    of_streams(
        "io/netty/handler/codec/http2/DefaultHttp2ConnectionDecoder$FrameReadListener",
        &[
            frame("onDataRead"),
            frame("onHeadersRead"),
            frame("onPriorityRead"),
            frame("onRstStreamRead"),
            frame("onPushPromiseRead"),
            frame("onWindowUpdateRead"),
            frame("onUnknownFrame"),
            between("onSettingsRead"),
            between("onSettingsAckRead"),
            between("onPingRead"),
            between("onPingAckRead"),
            between("onGoAwayRead"),
        ],
    ),
    of_streams(
        "io/netty/handler/codec/http2/Http2ConnectionHandler",
        &[between("channelReadComplete")],
    ),
    of_streams(
        "io/netty/handler/codec/http2/HpackEncoder",
        &[rule(
            "encodeHeader",
            Change::Set {
                name: "sensitive",
                argument: Argument::Of("Ljava/lang/CharSequence;"),
                parameter: "Z",
            },
        )],
    ),
    of_streams(
        "io/grpc/internal/SerializingExecutor",
        &[CALL_TASK, rule("run", RUN_BY_US)],
    ),
    of_streams(
        "io/grpc/internal/SerializeReentrantCallsDirectExecutor",
        &[
            CALL_TASK,
            rule("execute", RUN_BY_US),
            rule("completeQueuedTasks", RUN_BY_US),
        ],
    ),
    of_streams(
        "io/grpc/internal/ClientCallImpl",
        &[rule(
            "start",
            Change::TellBoth {
                name: "call",
                arguments: [Argument::This, HEADERS],
            },
        )],
    ),
    of_streams(
        "io/grpc/internal/DelayedClientCall",
        &[rule(
            "start",
            Change::Tell {
                name: "delayed",
                argument: HEADERS,
            },
        )],
    ),
    // Calls wait here until another one is through, whose thread hands them on.
    class(
        "okhttp3/Dispatcher",
        &[rule("enqueue", QUEUED), rule("enqueue$okhttp", QUEUED)],
    ),
    // Not the private method of this name, which also makes the streams that a server pushes.
    Class {
        helper: OKHTTP,
        ..class(
            "okhttp3/internal/http2/Http2Connection",
            &[Rule {
                method: "newStream",
                descriptor: "(Ljava/util/List;Z)",
                change: Change::Tell {
                    name: "stream",
                    argument: Argument::Of("Ljava/util/List;"),
                },
            }],
        )
    },
    // One connection for all, which the loop writes: Lettuce and Cassandra's driver.
    of_commands(
        "io/lettuce/core/RedisChannelHandler",
        &[
            rule(
                "dispatch",
                asked("asked", "Lio/lettuce/core/protocol/RedisCommand;"),
            ),
            rule("dispatch", asked("askedAll", "Ljava/util/Collection;")),
        ],
    ),
    of_commands(
        "io/lettuce/core/protocol/CommandEncoder",
        &[
            Rule {
                method: "encode",
                descriptor: "Lio/netty/buffer/ByteBuf;Lio/lettuce/core/protocol/RedisCommand;",
                change: Change::Tell {
                    name: "encoding",
                    argument: HANDLER,
                },
            },
            rule(
                "encode",
                Change::Replace {
                    call: Call {
                        class: "io/lettuce/core/protocol/RedisCommand",
                        name: "encode",
                        descriptor: "(Lio/netty/buffer/ByteBuf;)V",
                    },
                    name: "encode",
                    descriptor: "(Ljava/lang/Object;Ljava/lang/Object;)V",
                },
            ),
        ],
    ),
    of_commands(
        "com/datastax/oss/driver/internal/core/channel/DriverChannel",
        &[rule(
            "write",
            asked("asked", "Lcom/datastax/oss/protocol/internal/Message;"),
        )],
    ),
    of_commands(
        "com/datastax/oss/driver/internal/core/protocol/FrameEncoder",
        &[encodes(
            "encode",
            "Lcom/datastax/oss/protocol/internal/Frame;",
        )],
    ),
    of_commands(
        "com/datastax/oss/driver/internal/core/protocol/FrameToSegmentEncoder",
        &[encodes("write", "Ljava/lang/Object;")],
    ),
    // Tomcat has a thread pool of its own, a copy of the JDK's.
    class(
        "org/apache/tomcat/util/threads/ThreadPoolExecutor",
        &[
            Rule {
                method: "execute",
                descriptor: "(Ljava/lang/Runnable;)V",
                change: tell("Ljava/lang/Runnable;"),
            },
            rule("runWorker", RUN_BY_US),
        ],
    ),
];

/// The rules for the class of this internal name.
pub(super) fn of(name: &[u8]) -> Option<&'static Class> {
    // gRPC brings a copy of Netty.
    let name = name.strip_prefix(b"io/grpc/netty/shaded/").unwrap_or(name);
    let known = |front: &&&[u8]| name.starts_with(front);
    let fronts: [&[u8]; 14] = [
        b"java/util/",
        b"java/lang/V",
        b"sun/nio/",
        b"sun/net/httpserver/",
        b"reactor/netty/",
        b"sun/security/",
        b"jdk/internal/net/",
        b"io/netty/",
        b"io/grpc/internal/",
        b"io/lettuce/core/",
        b"com/datastax/oss/driver/internal/core/",
        b"okhttp3/",
        b"org/apache/tomcat/",
        b"org/eclipse/jetty/util/",
    ];
    fronts.iter().find(known)?;
    CLASSES.iter().find(|class| class.name.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_found_by_its_name() {
        for class in &CLASSES {
            assert_eq!(of(class.name.as_bytes()).map(|c| c.name), Some(class.name));
        }
        assert!(of(b"java/lang/String").is_none());
        let shaded = b"io/grpc/netty/shaded/io/netty/handler/codec/http2/HpackEncoder";
        assert!(of(shaded).is_some());
    }
}
