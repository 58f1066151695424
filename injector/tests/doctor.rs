//! `otel-run doctor` as built: what it says of programs, settings and SDKs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use support::{Lab, Pairs, doctor};

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
