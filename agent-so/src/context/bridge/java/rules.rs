//! Which methods of which Java classes are changed.
//!
//! A rule that finds nothing to change is for another version of the class: then what it would have carried has no context.
//! The exception are those whose absence would give a wrong one: a JDK that has their class but not their method gets no bridge.

use agent_engine::classfile::{Call, Change, Rule};

/// Internal name of the class whose methods are called.
pub(super) const HELPER: &str = "java/util/concurrent/OtelRun";

/// The rules for a class.
pub(super) struct Class {
    pub(super) name: &'static str,
    pub(super) rules: &'static [Rule],
    /// Each rule must find its method.
    pub(super) required: bool,
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
        parameter,
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
    }
}

const TASK: &str = "Ljava/util/concurrent/ForkJoinTask";

pub(super) static CLASSES: [Class; 16] = [
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
        &[rule(
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
        )],
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
                    parameter: "Ljava/lang/Runnable;",
                },
            },
            rule("runContinuation", Change::Notify { name: "carrier" }),
        ],
        required: true,
    },
    Class {
        name: "sun/nio/ch/SelectionKeyImpl",
        rules: &[rule("readyOps", Change::Notify { name: "turn" })],
        required: true,
    },
    class(
        "jdk/internal/net/http/MultiExchange",
        &[rule(
            "<init>",
            Change::Tell {
                name: "request",
                parameter: "Ljdk/internal/net/http/HttpRequestImpl;",
            },
        )],
    ),
    // Netty has executors of its own.
    class(
        "io/netty/util/concurrent/SingleThreadEventExecutor",
        &[rule("addTask", tell("Ljava/lang/Runnable;"))],
    ),
    class(
        "io/netty/util/concurrent/AbstractScheduledEventExecutor",
        &[Rule {
            method: "schedule",
            descriptor: "(Lio/netty/util/concurrent/ScheduledFutureTask;)",
            change: tell("Lio/netty/util/concurrent/ScheduledFutureTask;"),
        }],
    ),
    class(
        "io/netty/util/concurrent/AbstractEventExecutor",
        &[
            rule("safeExecute", RUN_BY_US),
            rule("runTask", RUN_BY_US),
        ],
    ),
    // The native transport asks for each descriptor that is ready.
    class(
        "io/netty/channel/epoll/EpollEventArray",
        &[rule("fd", Change::Notify { name: "turn" })],
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
    let known = |front: &&&[u8]| name.starts_with(front);
    let fronts: [&[u8]; 7] = [
        b"java/util/",
        b"java/lang/V",
        b"sun/nio/",
        b"sun/security/",
        b"jdk/internal/net/",
        b"io/netty/",
        b"org/apache/tomcat/",
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
    }
}
