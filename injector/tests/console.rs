//! The built command with `--console`: the parent's part.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use otlp_proto::collector::ExportTraceServiceRequest;
use otlp_proto::common::{AnyValue, KeyValue, any_value::Value};
use otlp_proto::resource::Resource;
use otlp_proto::trace::{ResourceSpans, ScopeSpans, Span, SpanKind};
use prost::Message;
use rustix::process::{Pid, Signal, kill_process};
use support::{Lab, await_line, finish, texts};

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

fn string(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn span(id: u8, parent: u8, kind: SpanKind, name: &str, attributes: Vec<KeyValue>) -> Span {
    const MS: u64 = 1_000_000;
    Span {
        trace_id: vec![0xab; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 {
            Vec::new()
        } else {
            vec![parent; 8]
        },
        name: name.to_owned(),
        kind: kind as i32,
        start_time_unix_nano: u64::from(id) * MS,
        end_time_unix_nano: u64::from(20 - id) * MS,
        attributes,
        ..Span::default()
    }
}

fn export(service: &str, spans: Vec<Span>) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans {
        spans,
        ..ScopeSpans::default()
    }];
    let resource = Resource {
        attributes: vec![string("service.name", service)],
        ..Resource::default()
    };
    let resource_spans = vec![ResourceSpans {
        resource: Some(resource),
        scope_spans,
        ..Default::default()
    }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// Posts as an exporter does, and gives the status line.
fn post(endpoint: &str, body: &[u8], encoding: &str) -> String {
    let (address, path) = endpoint
        .trim()
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-protobuf\r\n\
         Content-Encoding: {encoding}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer)
        .lines()
        .next()
        .unwrap()
        .to_owned()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// A running console whose command tells its endpoint in the file `ready` and then runs `rest`.
fn start(lab: &Lab, rest: &str) -> (Child, String) {
    let script = format!("echo $OTEL_EXPORTER_OTLP_TRACES_ENDPOINT > ready; {rest}");
    let child = lab
        .otel_run()
        .args(["--console", "sh", "-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let endpoint = await_line(&lab.path("ready"));
    (child, endpoint)
}

const UNTIL_DONE: &str = "while [ ! -e done ]; do sleep 0.02; done; echo output; exit 3";

#[test]
fn one_tree_for_a_trace_of_two_processes() {
    let lab = Lab::new();
    let (child, endpoint) = start(&lab, UNTIL_DONE);
    let code = |code| attribute("http.response.status_code", Value::IntValue(code));
    let server = span(
        3,
        2,
        SpanKind::Server,
        "GET /",
        vec![code(200), string("url.path", "/")],
    );
    let client = span(
        2,
        1,
        SpanKind::Client,
        "GET",
        vec![code(200), string("url.full", "http://127.0.0.1:5001/")],
    );
    let root = span(
        1,
        0,
        SpanKind::Server,
        "GET /fetch",
        vec![code(200), string("url.path", "/fetch")],
    );
    let backend = export("backend.py", vec![server]);
    assert_eq!(post(&endpoint, &gzip(&backend), "gzip"), "HTTP/1.1 200 OK");
    assert_eq!(
        post(&endpoint, &export("app.py", vec![client, root]), "identity"),
        "HTTP/1.1 200 OK"
    );
    std::fs::write(lab.path("done"), "").unwrap();
    let (status, stdout, stderr) = texts(&child.wait_with_output().unwrap());
    let expected = "\
trace abababababababababababababababab · 3 spans · 18.0 ms
SERVER GET /fetch   200  18.0 ms  app.py      /fetch
└─ CLIENT GET       200  16.0 ms  app.py      http://127.0.0.1:5001/
   └─ SERVER GET /  200  14.0 ms  backend.py  /
otel-run: 1 trace, 3 spans
";
    assert_eq!(stderr, expected);
    assert_eq!((status, stdout.as_str()), (3, "output\n"));
}

#[test]
fn a_trace_is_printed_while_the_command_runs_and_continued_later() {
    let lab = Lab::new();
    let (mut child, endpoint) = start(&lab, UNTIL_DONE);
    post(
        &endpoint,
        &export("app", vec![span(1, 0, SpanKind::Server, "GET /", vec![])]),
        "identity",
    );
    let mut stderr = child.stderr.take().unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"app\n") {
        let mut byte = [0];
        stderr.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    post(
        &endpoint,
        &export("app", vec![span(2, 1, SpanKind::Client, "GET", vec![])]),
        "identity",
    );
    post(
        &endpoint,
        &export("app", vec![span(9, 8, SpanKind::Client, "PUT", vec![])]),
        "identity",
    );
    std::fs::write(lab.path("done"), "").unwrap();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    child.wait().unwrap();
    let expected = "\
trace abababababababababababababababab · continued · 2 spans
CLIENT GET  -  16.0 ms  app  (its parent is shown above)
CLIENT PUT  -  2.00 ms  app  (its parent was not received)
otel-run: 1 trace, 3 spans
";
    assert_eq!(rest, expected);
}

#[test]
fn the_end_of_the_command_is_the_end_of_the_console() {
    let lab = Lab::new();
    for (script, expected) in [
        ("exit 0", 0),
        ("exit 42", 42),
        ("kill -TERM $$", -15),
        ("kill -KILL $$", -9),
        ("kill -SEGV $$", -11),
        ("kill -HUP $$", -1),
        ("kill -PIPE $$", -13),
    ] {
        let (status, stdout, stderr) =
            finish(lab.otel_run().args(["--console", "sh", "-c", script]));
        assert_eq!(status, expected, "{script}: {stderr}");
        assert_eq!(stdout, "");
        assert!(
            stderr.contains("otel-run: 0 traces, 0 spans\n  Nothing was seen."),
            "{stderr}"
        );
    }
}

#[test]
fn signals_to_the_console_reach_the_command_once() {
    let lab = Lab::new();
    for (name, signal) in [
        ("INT", Signal::INT),
        ("TERM", Signal::TERM),
        ("HUP", Signal::HUP),
        ("QUIT", Signal::QUIT),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("WINCH", Signal::WINCH),
    ] {
        let _ = std::fs::remove_file(lab.path("ready"));
        let rest = format!(
            "trap 'echo {name}' {name}; echo > armed; while [ ! -e done ]; do sleep 0.02; done"
        );
        let (mut child, _) = start(&lab, &rest);
        await_line(&lab.path("armed"));
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut first = vec![0; name.len() + 1];
        stdout.read_exact(&mut first).unwrap();
        std::fs::write(lab.path("done"), "").unwrap();
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(
            (first, rest),
            (format!("{name}\n").into_bytes(), String::new()),
            "exactly once"
        );
        assert_eq!(child.wait().unwrap().code(), Some(0));
        std::fs::remove_file(lab.path("done")).unwrap();
        std::fs::remove_file(lab.path("armed")).unwrap();
    }
}

#[test]
fn an_ignored_hang_up_stays_ignored() {
    let lab = Lab::new();
    let script =
        "trap '' HUP; exec \"$0\" --console sh -c 'kill -HUP $PPID; kill -HUP $$; echo alive'";
    let own = env!("CARGO_BIN_EXE_otel-run");
    let mut command = Command::new("sh");
    command
        .args(["-c", script, own])
        .env("OTEL_RUN_AGENT", lab.path("libfake.so"));
    let (status, stdout, stderr) = finish(&mut command);
    assert_eq!((status, stdout.as_str()), (0, "alive\n"), "{stderr}");
}

#[test]
fn children_that_live_on_are_not_waited_for() {
    let lab = Lab::new();
    let begin = std::time::Instant::now();
    let (child, endpoint) = start(&lab, "sleep 60 >/dev/null 2>&1 & echo $!");
    assert!(endpoint.starts_with("http://127.0.0.1:"));
    let (status, stdout, _) = texts(&child.wait_with_output().unwrap());
    assert!(begin.elapsed().as_secs() < 20);
    assert_eq!(status, 0);
    let left: i32 = stdout.trim().parse().unwrap();
    kill_process(Pid::from_raw(left).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn disabled_by_a_variable_is_said() {
    let lab = Lab::new();
    let (status, _, stderr) = finish(
        lab.otel_run()
            .env("OTEL_SDK_DISABLED", "true")
            .args(["--console", "true"]),
    );
    assert_eq!(
        (status, stderr.as_str()),
        (
            0,
            "otel-run: 0 traces, 0 spans: OTEL_SDK_DISABLED is true\n"
        )
    );
}

/// A terminal of its own: what is typed on `master` reaches the foreground process group.
fn on_terminal(command: &mut Command) -> (Child, std::fs::File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let open = || {
        let name = std::path::Path::new(name.to_str().unwrap());
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .unwrap()
    };
    command.stdin(open()).stdout(open()).stderr(open());
    // SAFETY: both calls are plain system calls, safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            Ok(())
        });
    }
    let child = command.spawn().unwrap();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    (child, std::fs::File::from(master))
}

fn read_until(terminal: &mut std::fs::File, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 256];
    while !text.contains(end) {
        match terminal.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
        }
    }
    text
}

#[test]
fn a_key_on_the_terminal_reaches_the_command_once_and_the_console_outlives_it() {
    let lab = Lab::new();
    let script =
        "trap 'echo interrupted' INT; echo armed; while [ ! -e done ]; do sleep 0.02; done; exit 5";
    let mut command = lab.otel_run();
    command.args(["--console", "sh", "-c", script]);
    let (mut child, mut terminal) = on_terminal(&mut command);
    read_until(&mut terminal, "armed");
    terminal.write_all(b"\x03").unwrap();
    let text = read_until(&mut terminal, "interrupted");
    assert!(text.contains("interrupted"), "{text}");
    std::fs::write(lab.path("done"), "").unwrap();
    let rest = read_until(&mut terminal, "doctor COMMAND");
    assert!(!rest.contains("interrupted"), "delivered twice: {rest}");
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn a_stopped_command_stops_the_job() {
    let lab = Lab::new();
    // An interactive shell's part: a process group in the foreground, whose stop is noticed.
    let script = "\
        set -m; \"$0\" --console sh -c 'echo started; kill -TSTP $$; echo resumed; exit 6'; \
        echo \"stopped $?\"; fg >/dev/null; echo \"ended $?\"";
    let mut command = Command::new("bash");
    command.args(["-c", script, env!("CARGO_BIN_EXE_otel-run")]);
    command.env("OTEL_RUN_AGENT", lab.path("libfake.so"));
    let (mut child, mut terminal) = on_terminal(&mut command);
    let text = read_until(&mut terminal, "ended 6");
    let order: Vec<usize> = ["started", "\nstopped 1", "\nresumed", "\nended 6"]
        .iter()
        .filter_map(|part| text.find(part))
        .collect();
    assert!(order.len() == 4 && order.is_sorted(), "{text}");
    child.wait().unwrap();
}
