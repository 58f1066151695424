//! Why a command is not run, in words: what, why, and what to do instead.

use std::ffi::OsString;
use std::path::PathBuf;

use super::elf::Platform;
use super::script::has_windows_line_end;

/// Exit status for "found, but cannot be run", as shells have it.
pub(crate) const CANNOT_RUN: u8 = 126;
/// Exit status for "not found", as shells have it.
pub(crate) const NOT_FOUND: u8 = 127;

/// What makes a program run as somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// The set-user-ID bit.
    SetUser,
    /// The set-group-ID bit.
    SetGroup,
    /// File capabilities.
    Capabilities,
}

/// Why a command is not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotFound {
        command: OsString,
        path: Option<OsString>,
    },
    InterpreterNotFound {
        script: PathBuf,
        interpreter: PathBuf,
    },
    LoaderNotFound {
        path: PathBuf,
        loader: PathBuf,
    },
    Directory {
        path: PathBuf,
    },
    PermissionDenied {
        path: PathBuf,
    },
    UnknownFormat {
        path: PathBuf,
    },
    Damaged {
        path: PathBuf,
        detail: String,
    },
    TooManyInterpreters {
        path: PathBuf,
    },
    Static {
        path: PathBuf,
        go: bool,
    },
    OtherPlatform {
        path: PathBuf,
        program: Platform,
        agent: Platform,
    },
    Musl {
        path: PathBuf,
        loader: PathBuf,
    },
    OtherLibc {
        path: PathBuf,
        loader: PathBuf,
    },
    Privileged {
        path: PathBuf,
        privilege: Privilege,
    },
}

/// The parts of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// What is the matter, naming the file.
    pub(crate) what: String,
    /// Why that is an obstacle.
    pub(crate) why: Option<String>,
    /// What to do.
    pub(crate) hint: String,
}

impl Refusal {
    /// The exit status, as a shell would give for its own failure to run the command.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::NotFound { .. }
            | Self::InterpreterNotFound { .. }
            | Self::LoaderNotFound { .. } => NOT_FOUND,
            _ => CANNOT_RUN,
        }
    }

    /// Whether the command could run by itself, only not with the agent.
    pub(crate) fn runs_without_agent(&self) -> bool {
        matches!(
            self,
            Self::Static { .. }
                | Self::OtherPlatform { .. }
                | Self::Musl { .. }
                | Self::OtherLibc { .. }
                | Self::Privileged { .. }
        )
    }

    /// The message for a person.
    pub(crate) fn message(&self) -> Message {
        let (what, why, hint) = match self {
            Self::NotFound { command, path } => not_found(command, path.as_ref()),
            Self::InterpreterNotFound { script, interpreter } => {
                let (script, windows) = (script.display(), has_windows_line_end(interpreter));
                let name = interpreter.to_string_lossy();
                let name = name.trim_end_matches('\r');
                if windows {
                    (
                        format!("{script} has Windows line ends"),
                        format!("its first line asks for \"{name}\" followed by a carriage return"),
                        format!("save it with Unix line ends, or name the interpreter: otel-run {name} {script}"),
                    )
                } else {
                    (
                        format!("{script} asks for the interpreter {name}, which does not exist"),
                        String::new(),
                        format!("correct its first line, or name the interpreter: otel-run INTERPRETER {script}"),
                    )
                }
            }
            Self::LoaderNotFound { path, loader } => (
                format!("{} asks for the dynamic linker {}, which does not exist", path.display(), loader.display()),
                "it was built for another system; it could not run without otel-run either".into(),
                "run it where that dynamic linker is installed, or rebuild it here".into(),
            ),
            Self::Directory { path } => (
                format!("{} is a directory", path.display()),
                String::new(),
                "name a program in it".into(),
            ),
            Self::PermissionDenied { path } => (
                format!("{} may not be executed by this user", path.display()),
                String::new(),
                format!("chmod +x {0}, or name its interpreter: otel-run INTERPRETER {0}", path.display()),
            ),
            Self::UnknownFormat { path } => (
                format!("{} is neither a program nor a script", path.display()),
                "it has no ELF header, no #! line, and is not text".into(),
                format!("name what runs it, for example: otel-run java -jar {}", path.display()),
            ),
            Self::Damaged { path, detail } => (
                format!("{} is not a complete ELF program", path.display()),
                detail.clone(),
                "check how it was built or copied".into(),
            ),
            Self::TooManyInterpreters { path } => (
                format!("{} is a script whose interpreter is a script, and so on without end", path.display()),
                String::new(),
                "let the #! line name a program".into(),
            ),
            Self::Static { path, go } => statically_linked(path, *go),
            Self::OtherPlatform { path, program, agent } => (
                format!("{} is a program for {}, this otel-run is for {}", path.display(), program.name(), agent.name()),
                "both must be loaded into one process".into(),
                format!("install the {} build of otel-run and use that", program.name()),
            ),
            Self::Musl { path, loader } => (
                format!("{} is built against musl ({})", path.display(), loader.display()),
                "this agent is built against glibc; musl's dynamic linker would end the program".into(),
                "run it in an image based on glibc (for example Debian's slim images instead of Alpine)".into(),
            ),
            Self::OtherLibc { path, loader } => (
                format!("{} uses the dynamic linker {}, which is not glibc's", path.display(), loader.display()),
                "this agent is built against glibc".into(),
                "use a glibc build of the program".into(),
            ),
            Self::Privileged { path, privilege } => privileged(path, *privilege),
        };
        Message {
            what,
            why: Some(why).filter(|why| !why.is_empty()),
            hint,
        }
    }
}

type Parts = (String, String, String);

fn not_found(command: &OsString, path: Option<&OsString>) -> Parts {
    let name = command.to_string_lossy();
    if name.is_empty() {
        return (
            "the command's name is empty".into(),
            String::new(),
            "name a program".into(),
        );
    }
    if name.contains('/') {
        let hint = "check the path; it is taken from the current directory".to_owned();
        return (format!("{name} does not exist"), String::new(), hint);
    }
    let hint = if std::path::Path::new(command).exists() {
        format!("there is one in the current directory: otel-run ./{name}")
    } else {
        "check the spelling, or give a path".to_owned()
    };
    let searched = match path {
        Some(path) => format!("PATH is {}", path.to_string_lossy()),
        None => "PATH is not set".to_owned(),
    };
    (format!("{name} is not found"), searched, hint)
}

fn statically_linked(path: &std::path::Path, go: bool) -> Parts {
    let path = path.display();
    let why = "no dynamic linker runs in it, so nothing can be preloaded".to_owned();
    if go {
        return (
            format!("{path} is a statically linked Go program"),
            why,
            "use OpenTelemetry's Go SDK in it. CGO_ENABLED=1 would let the agent load, but Go makes its \
             system calls itself: Go programs are not seen by this version"
                .into(),
        );
    }
    (
        format!("{path} is statically linked"),
        why,
        "use or build a dynamically linked one (without -static; for Rust a -gnu target); if it only \
         starts other programs, put otel-run before those"
            .into(),
    )
}

fn privileged(path: &std::path::Path, privilege: Privilege) -> Parts {
    let path = path.display();
    let what = match privilege {
        Privilege::SetUser => format!("{path} is set-user-ID"),
        Privilege::SetGroup => format!("{path} is set-group-ID"),
        Privilege::Capabilities => format!("{path} has file capabilities"),
    };
    let hint = match privilege {
        Privilege::Capabilities => {
            "grant the capabilities to the service instead (AmbientCapabilities= of systemd, the \
             container's capability list) and remove them from the file"
        }
        _ => {
            "run otel-run as the user that the program becomes; for sudo and its like put it behind \
             them: sudo otel-run COMMAND"
        }
    };
    let why = "it gains privileges when it starts, and then the dynamic linker ignores LD_PRELOAD";
    (what, why.to_owned(), hint.to_owned())
}
