//! The built command, without `--console`: environment, exec, refusals.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use support::{Lab, finish};

#[test]
fn the_command_runs_with_agent_settings_and_arguments() {
    let lab = Lab::new();
    let script = r#"echo "$OTEL_SERVICE_NAME|$OTEL_EXPORTER_OTLP_ENDPOINT|$OTEL_TRACES_SAMPLER_ARG|$LD_PRELOAD|$1|$2""#;
    let (status, stdout, stderr) = finish(
        lab.otel_run()
            .env("LD_PRELOAD", "/nonexistent/other.so")
            .env("OTEL_SERVICE_NAME", "old")
            .args(["--service-name", "shop", "--endpoint", "http://c:4318"])
            .args([
                "--sampler",
                "traceidratio=0.5",
                "sh",
                "-c",
                script,
                "sh",
                "--console",
                "--",
            ]),
    );
    let agent = lab.path("libfake.so");
    let expected = format!(
        "shop|http://c:4318|0.5|/nonexistent/other.so:{}|--console|--\n",
        agent.display()
    );
    assert_eq!((status, stdout), (0, expected), "{stderr}");
    assert_eq!(lab.loaded(), ["sh"]);
}

#[test]
fn the_process_becomes_the_command() {
    let lab = Lab::new();
    let child = lab
        .otel_run()
        .args(["sh", "-c", "echo $$; exit 7"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("{pid}\n")
    );
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn otel_run_behind_otel_run_works_once() {
    let lab = Lab::new();
    let own = env!("CARGO_BIN_EXE_otel-run");
    let (status, stdout, _) = finish(lab.otel_run().args(["--service-name", "outer", own]).args([
        "sh",
        "-c",
        "echo $OTEL_SERVICE_NAME $LD_PRELOAD",
    ]));
    assert_eq!(status, 0);
    assert_eq!(
        stdout,
        format!("outer {}\n", lab.path("libfake.so").display())
    );
    assert_eq!(
        lab.loaded(),
        ["sh"],
        "otel-run itself does not load the agent"
    );
}

#[test]
fn what_the_parent_gave_reaches_the_command() {
    let lab = Lab::new();
    let probe = lab.compile(
        r#"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
int main(int argc, char **argv) {
    struct sigaction pipe, chld; sigset_t mask;
    sigaction(SIGPIPE, 0, &pipe); sigaction(SIGCHLD, 0, &chld); sigprocmask(0, 0, &mask);
    printf("%s %d %d %d %d\n", argv[0], pipe.sa_handler == SIG_IGN, chld.sa_handler == SIG_IGN,
           sigismember(&mask, SIGUSR2), fcntl(0, F_GETFD) == -1);
    return 0;
}"#,
        "probe",
        &[],
    );
    let launcher = lab.compile(
        r#"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    if (atoi(argv[1])) {
        sigset_t mask; sigemptyset(&mask); sigaddset(&mask, SIGUSR2); sigprocmask(SIG_BLOCK, &mask, 0);
        signal(SIGPIPE, SIG_IGN); signal(SIGCHLD, SIG_IGN); close(0);
    } else {
        signal(SIGPIPE, SIG_DFL);
    }
    execv(argv[2], argv + 2); return 9;
}"#,
        "launcher",
        &[],
    );
    for (special, expected) in [("1", "1 1 1 1"), ("0", "0 0 0 0")] {
        for console in [None, Some("--console")] {
            let (status, stdout, stderr) = finish(
                lab.otel_run()
                    .env("PATH", probe.parent().unwrap())
                    .arg0("x")
                    .args(console)
                    .arg("probe")
                    .through(&launcher, special),
            );
            assert_eq!(
                (status, stdout),
                (0, format!("probe {expected}\n")),
                "{console:?} {stderr}"
            );
        }
    }
}

/// Starts a command through another program that is given it as arguments.
trait Through {
    fn through(&mut self, launcher: &std::path::Path, argument: &str) -> &mut Self;
}

impl Through for std::process::Command {
    fn through(&mut self, launcher: &std::path::Path, argument: &str) -> &mut Self {
        let mut outer = std::process::Command::new(launcher);
        outer
            .arg(argument)
            .arg(self.get_program())
            .args(self.get_args())
            .env_clear();
        for (name, value) in self.get_envs() {
            outer.env(name, value.unwrap_or_default());
        }
        outer.stdin(Stdio::inherit());
        *self = outer;
        self
    }
}

#[test]
fn what_cannot_be_traced_is_refused_with_a_message() {
    let lab = Lab::new();
    let main = "int main(void) { return 0; }";
    lab.compile(main, "static", &["-static"]);
    let go = r#"__attribute__((section(".go.buildinfo"))) int info = 1; int main(void) { return !info; }"#;
    lab.compile(go, "static-go", &["-static"]);
    lab.compile(
        main,
        "musl",
        &["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"],
    );
    lab.compile(
        main,
        "lost",
        &["-Wl,--dynamic-linker=/nonexistent/ld-linux-x86-64.so.2"],
    );
    let mut foreign = vec![0; 52];
    foreign[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    foreign[16] = 2; // ET_EXEC
    foreign[18] = 40; // EM_ARM
    lab.executable("foreign", &foreign);
    let whole = std::fs::read("/bin/true").unwrap();
    lab.executable("truncated", &whole[..50]);
    let mut corrupted = whole;
    corrupted[54] = 1; // e_phentsize
    lab.executable("corrupted", &corrupted);
    lab.executable("binary", b"PK\x03\x04\0\0\0");
    let script = format!("#!{}\n", lab.path("static").display());
    lab.executable("script", script);
    lab.executable(
        "script-of-script",
        format!("#!{} -x\n", lab.path("script").display()),
    );
    lab.executable("loop", format!("#!{}\n", lab.path("loop").display()));
    lab.executable("windows", "#!/bin/sh\r\necho\r\n");
    lab.executable("lost-script", "#!/nonexistent/python\n");
    lab.executable("lost-env", "#!/usr/bin/env nonexistent-program\n");
    std::fs::write(lab.path("plain"), "echo").unwrap();
    std::fs::create_dir(lab.path("folder")).unwrap();

    let table = [
        (
            "./static",
            126,
            "cannot trace, so not started: ./static is statically linked",
        ),
        (
            "./static-go",
            126,
            "cannot trace, so not started: ./static-go is a statically linked Go program",
        ),
        (
            "./musl",
            126,
            "cannot trace, so not started: ./musl is built against musl (/lib/ld-musl-x86_64.so.1)",
        ),
        (
            "./foreign",
            126,
            "./foreign is a program for 32-bit ARM, this otel-run is for",
        ),
        (
            "./truncated",
            126,
            "./truncated is not a complete ELF program",
        ),
        (
            "./corrupted",
            126,
            "./corrupted is not a complete ELF program",
        ),
        (
            "./binary",
            126,
            "./binary is neither a program nor a script",
        ),
        ("./script", 126, "./script: cannot trace, so not started: "),
        ("./script-of-script", 126, "is statically linked"),
        (
            "./loop",
            126,
            "is a script whose interpreter is a script, and so on without end",
        ),
        ("./windows", 127, "./windows has Windows line ends"),
        (
            "./lost-script",
            127,
            "./lost-script asks for the interpreter /nonexistent/python, which does not exist",
        ),
        ("./lost-env", 127, "nonexistent-program is not found"),
        (
            "./lost",
            127,
            "./lost asks for the dynamic linker /nonexistent/ld-linux-x86-64.so.2",
        ),
        ("./plain", 126, "./plain may not be executed by this user"),
        ("./folder", 126, "./folder is a directory"),
        ("./absent", 127, "./absent does not exist"),
        ("absent", 127, "absent is not found"),
        ("plain", 127, "plain is not found"),
        ("", 127, "the command's name is empty"),
    ];
    for (command, expected, message) in table {
        for console in [None, Some("--console")] {
            let (status, stdout, stderr) =
                finish(lab.otel_run().args(console).arg("--").arg(command));
            assert_eq!(status, expected, "{command}: {stderr}");
            assert!(
                stderr.starts_with("otel-run: ") && stderr.contains(message),
                "{command}: {stderr}"
            );
            assert!(stderr.contains("\n  try: "), "{command}: {stderr}");
            assert_eq!(stdout, "");
        }
    }
    assert!(
        lab.loaded().is_empty(),
        "nothing was started: {:?}",
        lab.loaded()
    );
}

#[test]
fn scripts_run_with_their_interpreter() {
    let lab = Lab::new();
    lab.executable("direct", "#!/bin/sh\necho \"$1\"\n");
    lab.executable("through-env", "#!/usr/bin/env sh\necho \"$1\"\n");
    lab.executable("bare", "echo \"$1\"\n");
    lab.executable("empty", "");
    for (name, output) in [
        ("direct", "a\n"),
        ("through-env", "a\n"),
        ("bare", "a\n"),
        ("empty", ""),
    ] {
        let (status, stdout, stderr) =
            finish(lab.otel_run().args([format!("./{name}").as_str(), "a"]));
        assert_eq!(
            (status, stdout.as_str(), stderr.as_str()),
            (0, output, ""),
            "{name}"
        );
    }
}

#[test]
fn a_program_that_changes_its_user_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new();
    let copy = lab.path("copy");
    std::fs::copy("/bin/true", &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o4755)).unwrap();
    assert_eq!(
        finish(lab.otel_run().arg("./copy")).0,
        0,
        "set-user-ID of oneself changes nothing"
    );
    if std::os::unix::fs::chown(&copy, Some(12345), Some(12345)).is_err() {
        return; // Only root can give files away.
    }
    for (mode, message) in [(0o4755, "set-user-ID"), (0o2755, "set-group-ID")] {
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(mode)).unwrap();
        let (status, _, stderr) = finish(lab.otel_run().arg("./copy"));
        assert_eq!(status, 126);
        assert!(
            stderr.contains(message) && stderr.contains("ignores LD_PRELOAD"),
            "{stderr}"
        );
    }
}

#[test]
fn own_failures_have_a_status_of_their_own() {
    let lab = Lab::new();
    let (status, _, stderr) = finish(
        lab.otel_run()
            .env("OTEL_RUN_AGENT", "/nonexistent.so")
            .arg("true"),
    );
    assert_eq!(status, 125);
    assert!(
        stderr.contains("OTEL_RUN_AGENT names /nonexistent.so"),
        "{stderr}"
    );
    std::fs::create_dir(lab.path("with space")).unwrap();
    let spaced = lab.path("with space/agent.so");
    std::fs::copy(lab.path("libfake.so"), &spaced).unwrap();
    let (status, _, stderr) = finish(lab.otel_run().env("OTEL_RUN_AGENT", spaced).arg("true"));
    assert_eq!(status, 125);
    assert!(stderr.contains("a space"), "{stderr}");
}

#[test]
fn usage() {
    let lab = Lab::new();
    let (status, stdout, stderr) = finish(&mut lab.otel_run());
    assert_eq!((status, stdout.as_str()), (2, ""));
    assert!(
        stderr.contains("no command is given") && stderr.contains("Examples:"),
        "{stderr}"
    );
    let (status, stdout, stderr) = finish(lab.otel_run().arg("--help"));
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.contains("ENTRYPOINT"), "{stdout}");
    let (status, _, stderr) = finish(lab.otel_run().args(["--sampler", "often", "true"]));
    assert_eq!(status, 2);
    assert!(stderr.contains("unknown sampler"), "{stderr}");
}

#[test]
fn the_environment_keeps_its_order() {
    let lab = Lab::new();
    let probe = lab.compile(
        r#"
#include <stdio.h>
extern char **environ;
int main(void) { for (char **at = environ; *at; at++) puts(*at); return 0; }"#,
        "probe",
        &[],
    );
    let launcher = lab.compile(
        r#"
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char agent[4096]; snprintf(agent, sizeof agent, "OTEL_RUN_AGENT=%s", argv[1]);
    char *environment[] = { "Z=1", "no equals sign", agent, "OTEL_SERVICE_NAME=old", "PATH=/bin", "B=x=y",
                            "A=", "B=again", 0 };
    execve(argv[2], argv + 2, environment); return 9;
}"#,
        "launcher",
        &[],
    );
    let agent = lab.path("libfake.so").display().to_string();
    let expected = format!(
        "Z=1\nno equals sign\nOTEL_RUN_AGENT={agent}\nOTEL_SERVICE_NAME=new\nPATH=/bin\nB=x=y\nA=\nB=again\n\
         OTEL_LOG_LEVEL=debug\nLD_PRELOAD={agent}\n"
    );
    for console in [None, Some("--console")] {
        let (status, stdout, stderr) = finish(
            lab.otel_run()
                .args(["--service-name", "new", "--log-level", "debug"])
                .args(console)
                .arg(&probe)
                .through(&launcher, &agent),
        );
        assert_eq!(status, 0, "{stderr}");
        match console {
            None => assert_eq!(stdout, expected),
            Some(_) => assert!(stdout.starts_with(&expected), "{stdout}"),
        }
    }
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// What doctor says of a command with these variables, without a collector to be looked for.
fn doctor(lab: &Lab, vars: Pairs, command: &[&str]) -> (i32, String) {
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

#[test]
fn doctor_says_by_status_whether_something_blocks() {
    let lab = Lab::new();
    let main = "int main(void) { return 3; }";
    lab.compile(main, "static", &["-static"]);
    lab.compile(main, "app", &[]);
    type Row<'a> = (Pairs<'a>, &'a [&'a str], i32, &'a str);
    let rows: [Row; 7] = [
        (&[], &["./app"], 0, "\nIt will be traced.\n"),
        (&[], &["./static"], 1, "✗ ./static is statically linked"),
        (
            &[],
            &["sh", "-c", "exit 3"],
            0,
            "! left alone: the program is on the built-in list\n    → what it starts (as a script or a version manager's shim does) is decided anew",
        ),
        (
            &[("OTEL_RUN_INCLUDE", "sh")],
            &["sh", "-c", "exit 3"],
            0,
            "✓ not left alone: OTEL_RUN_INCLUDE matches",
        ),
        (
            &[("OTEL_RUN_EXCLUDE", "app")],
            &["./app"],
            1,
            "✗ left alone: OTEL_RUN_EXCLUDE matches\n    → correct OTEL_RUN_EXCLUDE=app (compared with ",
        ),
        (
            &[("OTEL_SDK_DISABLED", "true")],
            &["./app"],
            1,
            "✗ left alone: OTEL_SDK_DISABLED is true",
        ),
        (
            &[("OTEL_TRACES_EXPORTER", "none")],
            &["./app"],
            1,
            "✗ OTEL_TRACES_EXPORTER=none",
        ),
    ];
    for (vars, command, expected, text) in rows {
        let (status, stdout) = doctor(&lab, vars, command);
        assert_eq!(status, expected, "{vars:?} {command:?}: {stdout}");
        assert!(stdout.contains(text), "{vars:?} {command:?}: {stdout}");
        if stdout.contains("left alone: OTEL") && expected == 1 {
            assert!(!stdout.contains("HTTP/1.x"), "nothing is seen: {stdout}");
        }
    }
}

#[test]
fn doctor_shows_what_the_agent_will_make_of_program_and_settings() {
    let lab = Lab::new();
    // The interpreter only has to be called like one: doctor runs nothing.
    lab.compile("int main(void) { return 0; }", "python3.11", &[]);
    lab.executable("app.py", "#!/usr/bin/env -S python3.11 -u\n");
    let path = lab.path("");
    let vars = [
        ("PATH", path.to_str().unwrap()),
        ("OTEL_TRACES_SAMPLER", "bogus"),
        ("OTEL_RUN_EXLUDE", "x"),
    ];
    let (status, stdout) = doctor(&lab, &vars, &["./app.py", "--port", "1"]);
    assert_eq!(status, 0, "{stdout}");
    for line in [
        "✓ service name: unknown_service:app.py (from the command; ",
        "✓ sampler: ParentBased{root:AlwaysOnSampler,",
        "! otel-run: OTEL_TRACES_SAMPLER=\"bogus\": not one of always_on, ",
        "; parentbased_always_on is used\n",
        "! otel-run: OTEL_RUN_EXLUDE=\"x\": no such variable; it has no effect\n",
        "! HTTP/2, gRPC and databases: not seen by this version\n",
    ] {
        assert!(stdout.contains(line), "{line}: {stdout}");
    }
}

#[test]
fn doctor_notes_an_sdk() {
    let lab = Lab::new();
    lab.compile("int main(void) { return 0; }", "java", &[]);
    let option = (
        "JAVA_TOOL_OPTIONS",
        "-javaagent:/opentelemetry-javaagent.jar",
    );
    let (status, stdout) = doctor(&lab, &[option], &["./java", "-jar", "x.jar"]);
    assert_eq!(status, 0, "{stdout}");
    assert!(
        stdout.contains("(OpenTelemetry Java agent): our spans step aside"),
        "{stdout}"
    );
    assert!(
        stdout.ends_with("\nIt will be traced by its own OpenTelemetry SDK.\n"),
        "{stdout}"
    );
    let both = [option, ("OTEL_RUN_COEXIST", "always")];
    let (status, stdout) = doctor(&lab, &both, &["./java", "-jar", "x.jar"]);
    assert_eq!(status, 0, "{stdout}");
    assert!(stdout.contains("its spans and ours"), "{stdout}");
    assert!(stdout.ends_with("\nIt will be traced.\n"), "{stdout}");
}
