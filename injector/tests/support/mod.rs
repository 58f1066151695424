//! What the tests of the built command share: a fake agent, small C programs, and a clean environment.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory with a fake agent, which notes the programs into which it is loaded.
pub(crate) struct Lab {
    directory: tempfile::TempDir,
}

const AGENT: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
__attribute__((constructor)) static void loaded(void) {
    const char *path = getenv("FAKE_AGENT_LOG");
    FILE *log = path ? fopen(path, "a") : NULL;
    if (log) { fprintf(log, "%s\n", program_invocation_short_name); fclose(log); }
}
"#;

impl Lab {
    /// Compiles the agent.
    pub(crate) fn new() -> Self {
        let lab = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        lab.compile(AGENT, "libfake.so", &["-shared", "-fPIC"]);
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    /// Compiles C source to a file of that name.
    pub(crate) fn compile(&self, source: &str, name: &str, flags: &[&str]) -> PathBuf {
        let (input, output) = (self.path(&format!("{name}.c")), self.path(name));
        std::fs::write(&input, source).unwrap();
        let status = Command::new("cc")
            .arg(&input)
            .arg("-o")
            .arg(&output)
            .args(flags)
            .status()
            .unwrap();
        assert!(status.success(), "cc failed for {name}");
        output
    }

    /// A file with these bytes that may be executed.
    pub(crate) fn executable(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// The command, in an environment that has no settings of its own.
    pub(crate) fn otel_run(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_otel-run"));
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("OTEL_RUN_AGENT", self.path("libfake.so"))
            .env("FAKE_AGENT_LOG", self.path("log"))
            .current_dir(self.directory.path());
        command
    }

    /// The names of the programs that loaded the agent.
    pub(crate) fn loaded(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

/// Runs to the end; status (negative: signal), standard output, standard error.
pub(crate) fn finish(command: &mut Command) -> (i32, String, String) {
    texts(&command.output().unwrap())
}

/// The same of an output that is there.
pub(crate) fn texts(output: &Output) -> (i32, String, String) {
    use std::os::unix::process::ExitStatusExt;
    let status = output
        .status
        .code()
        .or_else(|| output.status.signal().map(|signal| -signal));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Waits until the file is there and has a whole line, and gives its text.
pub(crate) fn await_line(path: &Path) -> String {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ if std::time::Instant::now() > deadline => {
                panic!("{} did not appear", path.display())
            }
            _ => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }
}

/// Starts a command through another program that is given it as arguments.
pub(crate) trait Through {
    fn through(&mut self, launcher: &Path, argument: &str) -> &mut Self;
}

impl Through for Command {
    fn through(&mut self, launcher: &Path, argument: &str) -> &mut Self {
        let mut outer = Command::new(launcher);
        outer
            .arg(argument)
            .arg(self.get_program())
            .args(self.get_args())
            .env_clear();
        for (name, value) in self.get_envs() {
            outer.env(name, value.unwrap_or_default());
        }
        outer.stdin(std::process::Stdio::inherit());
        *self = outer;
        self
    }
}

/// Environment variables.
pub(crate) type Pairs<'a> = &'a [(&'a str, &'a str)];

/// What doctor says of a command with these variables, without a collector to be looked for.
pub(crate) fn doctor(lab: &Lab, vars: Pairs, command: &[&str]) -> (i32, String) {
    let (status, stdout, stderr) = finish(
        lab.otel_run()
            .env("OTEL_TRACES_EXPORTER", "console")
            .envs(vars.iter().copied())
            .arg("doctor")
            .args(command),
    );
    assert_eq!(stderr, "");
    assert!(lab.loaded().is_empty(), "doctor runs nothing");
    (status, stdout)
}
