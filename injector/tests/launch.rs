//! The built command, without `--console`: environment, exec, usage.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use support::{Lab, Through, finish};

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
