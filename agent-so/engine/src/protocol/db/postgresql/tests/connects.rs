//! The making of connections, and what only looks like one.

use super::*;

#[test]
fn the_making_of_a_connection() {
    let wanted = |steps: &[Step], span: &str| {
        let (spans, verdict) = run(steps);
        assert_eq!(spans, [span]);
        verdict
    };
    let password = || Out(all(&["pcanary|"]));
    let verdict = wanted(
        &[
            Out(startup("user|me||")),
            In(all(&["R..."])),
            password(),
            In(all(&["R...", "S", "N", "v"])),
            In(all(&["ZI"])),
        ],
        "connect@me 1-50",
    );
    assert_eq!(verdict, Some(Verdict::Tracked));
    let verdict = wanted(
        &[
            Out(startup("client_encoding|utf-8|database|d|user|me||")),
            In(all(&["R..."])),
            password(),
            In(all(&["ESFATAL|C28P01|Mno|"])),
        ],
        "connect@d 1-40 28P01",
    );
    assert_eq!(verdict, Some(Verdict::Opaque));
    let eof = || Step::End(Direction::In, Ended::Eof);
    wanted(
        &[Out(startup("user|me||")), eof()],
        "connect@me 1-20 connection_closed",
    );
    wanted(&[Out(startup("user|me||")), Close], "connect@me 1-20");
    wanted(
        &[Out(opening(TLS, b"")), eof()],
        "connect@- 1-20 connection_closed",
    );
    wanted(
        &[Out(opening(TLS, b"")), In(text("N")), Close],
        "connect@- 1-30 tls_handshake",
    );
    wanted(
        &[Out(opening(TLS, b"")), In(all(&["EC08P01|"]))],
        "connect@- 1-20 08P01",
    );
    let refused = [
        Out(opening(GSS, b"")),
        In(text("N")),
        Out(opening(TLS, b"")),
        In(text("N")),
        Out(startup("user|me|database|||")),
        In(all(&["R...", "ZI"])),
        Close,
    ];
    wanted(&refused, "connect@me 1-60");
    let long = "d".repeat(70);
    let steps = [
        Out(startup(&format!("user|me|database|{long}||"))),
        In(all(&["R...", "ZI"])),
        Close,
    ];
    wanted(&steps, &format!("connect@{} 1-20", &long[..63]));
}

#[test]
fn replication_is_only_connected_to() {
    for (value, verdict) in [
        ("true", Verdict::Opaque),
        ("database", Verdict::Opaque),
        ("off", Verdict::Tracked),
        ("False", Verdict::Tracked),
    ] {
        let (spans, got) = run(&[
            Out(startup(&format!("user|me|replication|{value}||"))),
            In(all(&["R...", "ZI"])),
        ]);
        assert_eq!(spans, ["connect@me 1-20"]);
        assert_eq!(got, Some(verdict), "{value}");
    }
}

#[test]
fn other_openings_make_nothing() {
    for (code, body, answer) in [
        (CANCEL, &b"12345678"[..], ""),
        (CANCEL, &[b'k'; 40], ""),
        (GSS, b"", "G"),
        (GSS, b"", "S"),
        (TLS, b"", "X"),
    ] {
        let (spans, verdict) = run(&[Out(opening(code, body)), In(text(answer))]);
        assert_eq!(spans, [""; 0]);
        assert_eq!(verdict, Some(Verdict::Opaque));
    }
}

#[test]
fn tls_begins_with_the_answer() {
    let mut hello = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03".to_vec();
    hello.extend(100..132);
    hello.resize(205, 0);
    for refused in [false, true] {
        let mut steps = vec![Out(opening(TLS, b"")), In(text("S")), Out(hello.clone())];
        if refused {
            steps.splice(0..0, [Out(opening(GSS, b"")), In(text("N"))]);
        }
        for cut in [whole, bytewise] {
            let mut host = recorder();
            host.run(&steps, cut);
            assert_eq!(host.events.len(), 1);
            assert!(
                host.events[0].starts_with("tls Out [100, "),
                "{:?}",
                host.events
            );
            assert_eq!(host.verdict, Some(Verdict::Opaque));
            assert_eq!(host.connected, Some((1, 2)), "left to what is inside");
        }
    }
}

#[test]
fn a_server_has_no_connect() {
    let turned: Vec<Step> = entered()
        .into_iter()
        .chain([
            Out(all(&["P|SELECT 1|||", "B||", "E|||||", "S"])),
            In(all(&["1", "2", "CSELECT 0|", "ZI"])),
            Close,
        ])
        .map(|step| match step {
            In(bytes) => Out(bytes),
            Out(bytes) => In(bytes),
            other => other,
        })
        .collect();
    assert_eq!(run(&turned).0, ["SELECT 1@shop 30-40 rows=0"]);
}

#[test]
fn only_clients_of_postgresql_begin_like_this() {
    let none: [&[u8]; 8] = [
        // Kafka asks for metadata: whatever number it gives its request, and however long its name is.
        b"\0\0\0\x23\0\x03\0\0\0\0\0\x01\0\x06client",
        b"\0\0\0\x23\0\x03\0\0abcd\0\x06client",
        b"\0\0\0\x23\0\x03\0\x02user\xff\xff\0",
        b"\0\0\0\x29\0\x03\0\0\0",
        b"\0\0\0\x29\0\x03\0\0us er\0",
        b"\0\0\0\x09\x04\xd2\x16\x2f",
        b"\0\0\0\x0f\x04\xd2\x16\x2e",
        b"\0\0\0\x08\x04\xd2\x16\x2d",
    ];
    for opening in none {
        let mut host = recorder();
        host.run(&[Out(opening.to_vec())], whole);
        assert_ne!(host.verdict, Some(Verdict::Tracked), "{opening:?}");
    }
}
