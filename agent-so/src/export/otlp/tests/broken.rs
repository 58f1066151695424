//! A program that closes all descriptors it did not open (lesson 23).

use super::servers::Server;
use super::{config, export, exporter, sent};
use crate::export::otlp::{Exporter, Outcome};
use agent_engine::config::exporter::Protocol;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

/// Says to this test binary which server to talk to, when it is run again as its own victim.
const ENDPOINT: &str = "OTLP_TEST_ENDPOINT";

/// Closing everything would take the other tests along, so it happens in a process of its own.
#[test]
fn descriptors_that_the_program_took_are_left_alone() {
    let server = Server::http(vec![], None);
    let victim = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "export::otlp::tests::broken::victim",
            "--ignored",
            "--nocapture",
        ])
        .env(ENDPOINT, format!("http://{}/v1/traces", server.address))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&victim.stdout);
    assert!(
        victim.status.success(),
        "{text} {}",
        String::from_utf8_lossy(&victim.stderr)
    );
    assert!(text.contains("1 passed"), "{text}");
    assert_eq!(
        server.log().requests.len(),
        4,
        "two before and two after, each on one connection"
    );
    assert_eq!(server.log().connections, 2);
}

#[test]
#[ignore = "run by descriptors_that_the_program_took_are_left_alone"]
fn victim() {
    let endpoint = std::env::var(ENDPOINT).unwrap();
    let config = config(Protocol::HttpProtobuf, endpoint);
    let mut first = exporter(&config);
    assert_eq!(export(&mut first), sent());
    assert_eq!(export(&mut first), sent());

    // SAFETY: no pointers; whoever owns these descriptors is what the test is about.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    assert_eq!(closed, 0);
    // The program's own sockets get the numbers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut pairs: Vec<(TcpStream, TcpStream)> = (0..8)
        .map(|_| {
            (
                TcpStream::connect(address).unwrap(),
                listener.accept().unwrap().0,
            )
        })
        .collect();

    let outcome = export(&mut first);
    assert!(
        matches!(outcome, Outcome::Broken { spans: 3, .. }),
        "{outcome:?}"
    );
    std::mem::forget(first);
    let mut second: Exporter = exporter(&config);
    assert_eq!(export(&mut second), sent());
    assert_eq!(export(&mut second), sent());

    for (a, b) in &mut pairs {
        a.set_nonblocking(true).unwrap();
        b.set_nonblocking(true).unwrap();
        for end in [a, b] {
            let error = end.read(&mut [0]).unwrap_err();
            assert_eq!(
                error.kind(),
                std::io::ErrorKind::WouldBlock,
                "open, and nothing in it"
            );
        }
    }
}
