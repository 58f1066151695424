//! Looks at a command before it is run: which file it is, what interprets it, and whether the dynamic
//! linker would load the agent into it. Nothing is executed.

pub(crate) mod elf;
pub(crate) mod refusal;
pub(crate) mod script;
pub(crate) mod search;

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use elf::{ElfError, ElfFacts, Libc, Platform};
use refusal::{Privilege, Refusal};
use search::Found;

/// Interpreters of interpreters followed. The kernel stops at five; `env` starts a new count.
const MAX_STEPS: usize = 10;

/// Why a file is in the chain from the command to the program that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// What the user named.
    Command,
    /// Named by the `#!` line of the file before.
    Interpreter,
    /// Named to `env` by the `#!` line of the file before.
    ThroughEnv,
    /// The shell that runs a text file without a `#!` line.
    DefaultShell,
}

/// One file of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The file.
    pub(crate) path: PathBuf,
    /// How it came to be run.
    pub(crate) role: Role,
}

/// What was found out about a command.
#[derive(Debug)]
pub(crate) struct Inspection {
    /// The command's file, then its interpreter, and so on; the last is the program that the kernel loads.
    pub(crate) chain: Vec<Step>,
    /// The first words of that program's command line; the user's arguments follow them.
    words: Vec<OsString>,
    /// The headers of the last file, when it is ELF and readable.
    pub(crate) facts: Option<ElfFacts>,
    /// Why the agent cannot be loaded, or the command cannot be run at all.
    pub(crate) refusal: Option<Refusal>,
}

impl Inspection {
    /// The file that `execvp` would be given.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.chain.first().map(|step| step.path.as_path())
    }

    /// The program that the kernel would load in the end.
    pub(crate) fn program(&self) -> Option<&Path> {
        self.chain.last().map(|step| step.path.as_path())
    }

    /// The command line of that program, for a command line of the user's.
    pub(crate) fn argv<'a>(&'a self, typed: &'a [OsString]) -> impl Iterator<Item = &'a OsStr> {
        let rest = typed.iter().skip(1);
        self.words.iter().chain(rest).map(OsString::as_os_str)
    }

    /// Whether the command is this very `otel-run`, which prepares its own command.
    pub(crate) fn is_otel_run(&self) -> bool {
        let Ok(own) = std::env::current_exe().and_then(|own| own.canonicalize()) else {
            return false;
        };
        self.path()
            .and_then(|path| path.canonicalize().ok())
            .is_some_and(|path| path == own)
    }
}

/// Inspects `command` as `execvp` would find it with this `PATH`. `agent` is the platform that the agent was
/// built for.
pub(crate) fn inspect(
    command: &OsStr,
    path: Option<&OsStr>,
    agent: Option<Platform>,
) -> Inspection {
    let mut inspection = Inspection {
        chain: Vec::new(),
        words: vec![command.to_os_string()],
        facts: None,
        refusal: None,
    };
    inspection.refusal = follow(command, path, agent, &mut inspection).err();
    inspection
}

fn follow(
    command: &OsStr,
    path: Option<&OsStr>,
    agent: Option<Platform>,
    inspection: &mut Inspection,
) -> Result<(), Refusal> {
    let mut file = resolve(command, path)?;
    let mut role = Role::Command;
    for _ in 0..MAX_STEPS {
        inspection.chain.push(Step {
            path: file.clone(),
            role,
        });
        let Ok(head) = elf::head(&file, script::HEAD) else {
            // Executable but not readable: the kernel can run what we cannot look at.
            return Ok(());
        };
        if head.starts_with(&object::elf::ELFMAG) {
            return check_elf(file, agent, inspection);
        }
        let mut words;
        let script = file.clone();
        (file, role, words) = match script::parse(&head) {
            Some(shebang) => {
                let interpreter = resolve_interpreter(&file, &shebang)?;
                match script::env_command(&shebang) {
                    Some(command) => {
                        check_env(&interpreter)?;
                        let program = command.first().map(OsString::as_os_str);
                        let program = resolve(program.unwrap_or_default(), path)?;
                        (program, Role::ThroughEnv, command)
                    }
                    None => {
                        let name = interpreter.clone().into_os_string();
                        let words = std::iter::once(name).chain(shebang.argument);
                        (interpreter, Role::Interpreter, words.collect())
                    }
                }
            }
            // What execvp does with a file that the kernel does not know.
            None if script::looks_like_text(&head) => {
                let shell = PathBuf::from("/bin/sh");
                let words = vec![shell.clone().into_os_string()];
                (shell, Role::DefaultShell, words)
            }
            None => return Err(Refusal::UnknownFormat { path: file }),
        };
        // The interpreter gets the script's path in the place of the script's name.
        words.push(script.into_os_string());
        words.extend(inspection.words.drain(..).skip(1));
        inspection.words = words;
    }
    Err(Refusal::TooManyInterpreters { path: file })
}

fn resolve(command: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, Refusal> {
    match search::find(command, path) {
        Found::File(file) => Ok(file),
        Found::Missing => Err(Refusal::NotFound {
            command: command.to_os_string(),
            path: path.map(OsStr::to_os_string),
        }),
        Found::Directory(path) => Err(Refusal::Directory { path }),
        Found::Denied(path) => Err(Refusal::PermissionDenied { path }),
    }
}

/// The kernel takes the interpreter's name as a path, never from `PATH`.
fn resolve_interpreter(script: &Path, shebang: &script::Shebang) -> Result<PathBuf, Refusal> {
    let interpreter = Path::new(".").join(&shebang.interpreter);
    match search::find(interpreter.as_os_str(), None) {
        Found::File(_) => Ok(shebang.interpreter.clone()),
        Found::Missing => Err(Refusal::InterpreterNotFound {
            script: script.to_path_buf(),
            interpreter: shebang.interpreter.clone(),
        }),
        Found::Directory(_) => Err(Refusal::Directory {
            path: shebang.interpreter.clone(),
        }),
        Found::Denied(_) => Err(Refusal::PermissionDenied {
            path: shebang.interpreter.clone(),
        }),
    }
}

/// `env` only passes the environment on: a static one is no obstacle, but the agent would kill one of
/// another C library.
fn check_env(env: &Path) -> Result<(), Refusal> {
    match elf::read(env)
        .ok()
        .and_then(|facts| Some((facts.libc()?, facts.interpreter?)))
    {
        Some((Libc::Musl, loader)) => Err(Refusal::Musl {
            path: env.to_path_buf(),
            loader,
        }),
        _ => Ok(()),
    }
}

fn check_elf(
    path: PathBuf,
    agent: Option<Platform>,
    inspection: &mut Inspection,
) -> Result<(), Refusal> {
    let facts = match elf::read(&path) {
        Ok(facts) => inspection.facts.insert(facts),
        Err(ElfError::Io(_)) => return Ok(()),
        Err(ElfError::Damaged(error)) => {
            return Err(Refusal::Damaged {
                path,
                detail: error.to_string(),
            });
        }
    };
    if let Some(agent) = agent.filter(|agent| *agent != facts.platform) {
        return Err(Refusal::OtherPlatform {
            path,
            program: facts.platform,
            agent,
        });
    }
    if !facts.runnable {
        return Err(Refusal::Damaged {
            path,
            detail: "it is not a program".to_owned(),
        });
    }
    let Some(libc) = facts.libc() else {
        return Err(Refusal::Static { path, go: facts.go });
    };
    if let Some(loader) = &facts.interpreter {
        match libc {
            Libc::Musl => {
                return Err(Refusal::Musl {
                    path,
                    loader: loader.clone(),
                });
            }
            Libc::Other => {
                return Err(Refusal::OtherLibc {
                    path,
                    loader: loader.clone(),
                });
            }
            Libc::Glibc | Libc::Unknown if !loader.exists() => {
                return Err(Refusal::LoaderNotFound {
                    path,
                    loader: loader.clone(),
                });
            }
            Libc::Glibc | Libc::Unknown => {}
        }
    }
    match privilege(&path) {
        Some(privilege) => Err(Refusal::Privileged { path, privilege }),
        None => Ok(()),
    }
}

/// Whether running this file changes who the process is, for the user who runs it now. Only then does
/// the dynamic linker ignore `LD_PRELOAD` (`AT_SECURE`): root running a set-user-ID root program is not.
fn privilege(path: &Path) -> Option<Privilege> {
    use rustix::fs::{StatVfsMountFlags, getxattr, statvfs};
    use rustix::process::{getgid, getuid};
    use rustix::thread::no_new_privs;
    const SET_UID: u32 = 0o4000;
    /// Set-group-ID counts only together with group execute; alone it once meant mandatory locking.
    const SET_GID: u32 = 0o2010;

    let metadata = path.metadata().ok()?;
    let changes = if metadata.mode() & SET_UID != 0 && metadata.uid() != getuid().as_raw() {
        Privilege::SetUser
    } else if metadata.mode() & SET_GID == SET_GID && metadata.gid() != getgid().as_raw() {
        Privilege::SetGroup
    } else if !getuid().is_root() && getxattr(path, "security.capability", &mut [0; 64]).is_ok() {
        Privilege::Capabilities
    } else {
        return None;
    };
    // Both make the kernel ignore the bits.
    let ignored = no_new_privs().unwrap_or(false)
        || statvfs(path).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOSUID));
    (!ignored).then_some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn command_lines_as_the_program_gets_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let write = |name: &str, text: &str| {
            std::fs::write(path(name), text).unwrap();
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(path(name), mode).unwrap();
        };
        write("direct", "#!/bin/sh -e -x\n");
        write("inner", &format!("#!{} -q\n", path("direct")));
        write("env", "#!/usr/bin/env sh\n");
        write("split", "#!/usr/bin/env -S A=1 sh -e -u\n");
        write("bare", "echo\n");
        let at = |name: &str| path(name);
        let rows = [
            ("sh", vec!["sh".to_owned()]),
            (
                "direct",
                vec!["/bin/sh".into(), "-e -x".into(), at("direct")],
            ),
            (
                "inner",
                vec![
                    "/bin/sh".into(),
                    "-e -x".into(),
                    at("direct"),
                    "-q".into(),
                    at("inner"),
                ],
            ),
            ("env", vec!["sh".into(), at("env")]),
            (
                "split",
                vec!["sh".into(), "-e".into(), "-u".into(), at("split")],
            ),
            ("bare", vec!["/bin/sh".into(), at("bare")]),
        ];
        let search = OsString::from(format!("{}:/bin", directory.path().display()));
        for (name, mut expected) in rows {
            let typed = [name, "--flag", "x"].map(OsString::from);
            let inspection = inspect(&typed[0], Some(&search), None);
            assert_eq!(inspection.refusal, None, "{name}");
            expected.extend(["--flag".to_owned(), "x".to_owned()]);
            let argv: Vec<_> = inspection
                .argv(&typed)
                .map(OsStr::to_string_lossy)
                .collect();
            assert_eq!(argv, expected, "{name}");
        }
    }
}
