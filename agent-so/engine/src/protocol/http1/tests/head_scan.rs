//! The look at a head before it is written.

use super::super::scan::{HeadScan, Scan};

const TP: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Scans `head` in all splits in two and byte by byte; all must agree.
fn scan(head: &str) -> (Scan, HeadScan) {
    let head = head.as_bytes();
    let one = |pieces: &[&[u8]]| {
        let mut scan = HeadScan::default();
        let mut last = Scan::More;
        for piece in pieces {
            last = scan.push(piece);
        }
        (last, scan)
    };
    let facts = |(last, s): &(Scan, HeadScan)| {
        let flags = [
            s.has_traceparent,
            s.has_tracestate,
            s.has_baggage,
            s.signed,
            s.bare_lf,
        ];
        (*last, s.line_end, s.head_len, s.traceparent, flags)
    };
    let whole = one(&[head]);
    if whole.0 != Scan::NotRequest {
        let bytes: Vec<&[u8]> = head.chunks(1).collect();
        assert_eq!(facts(&one(&bytes)), facts(&whole));
        for at in 0..head.len() {
            let (a, b) = head.split_at(at);
            assert_eq!(facts(&one(&[a, b])), facts(&whole), "cut at {at}");
        }
    }
    whole
}

#[test]
fn the_place_for_a_field_is_after_the_request_line() {
    let (last, scan1) = scan("GET / HTTP/1.1\r\nHost: h\r\n\r\nbody\r\n\r\n");
    assert_eq!(
        (last, scan1.line_end, scan1.head_len),
        (Scan::Complete, 16, 27)
    );
    assert!(!scan1.bare_lf && !scan1.has_traceparent && !scan1.signed);
    let (last, scan2) = scan("\r\n\nPOST http://h/ HTTP/1.0\nA: b\n\n");
    assert_eq!(
        (last, scan2.line_end, scan2.head_len),
        (Scan::Complete, 27, 33)
    );
    assert!(scan2.bare_lf);
    let (_, mut done) = scan("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(
        (done.push(b"traceparent: x\r\n"), done.has_traceparent),
        (Scan::Complete, false)
    );
}

#[test]
fn heads_that_are_not_are_refused() {
    for text in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "GET /\r\n",
        "GET / HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01",
        "GET / HTTP/1.1\r\n\x17\x03\x03: x\r\n",
        "GET / HTTP/1.1\r\n\rX",
        "*1\r\n",
    ] {
        assert_eq!(scan(text).0, Scan::NotRequest, "{text:?}");
    }
    for text in [
        "",
        "G",
        "\r\n",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n\r",
    ] {
        assert_eq!(scan(text).0, Scan::More, "{text:?}");
    }
}

#[test]
fn a_context_already_there_is_found() {
    for (field, at) in [
        (format!("traceparent: {TP}"), Some(13)),
        (format!("TraceParent:\t{TP} \t"), Some(13)),
        (format!("traceparent:\r\n {TP}"), Some(15)),
        (format!("traceparent:{TP}-x"), None),
        (format!("traceparent:{}", &TP[1..]), None),
        (
            format!("traceparent: {}\r\n {}", &TP[..27], &TP[28..]),
            None,
        ),
        ("traceparent:".into(), None),
        (format!("traceparent: {TP}\r\nTRACEPARENT: {TP}"), None),
    ] {
        let (last, scan) = scan(&format!("GET / HTTP/1.1\r\n{field}\r\nX: y\r\n\r\n"));
        assert_eq!(last, Scan::Complete);
        assert!(scan.has_traceparent, "{field}");
        let expected = at.map(|at| (16 + at, TP.as_bytes().try_into().unwrap()));
        assert_eq!(scan.traceparent, expected, "{field}");
    }
    let (_, scan) = scan(&format!(
        "GET / HTTP/1.1\r\ntrace-parent: {TP}\r\nXtraceparent: {TP}\r\n\r\n"
    ));
    assert!(!scan.has_traceparent && scan.traceparent.is_none());
}

#[test]
fn flags() {
    let all = "GET / HTTP/1.1\r\nTracestate: a\r\nBAGGAGE: b\r\nauthorization: AWS4-HMAC x\r\n\r\n";
    let (_, all) = scan(all);
    assert!(all.has_tracestate && all.has_baggage && all.signed && !all.has_traceparent);
    for field in ["Signature: x", "Signature-Input: x"] {
        assert!(scan(&format!("GET / HTTP/1.1\r\n{field}\r\n\r\n")).1.signed);
    }
    assert!(
        !scan("GET / HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n")
            .1
            .signed
    );
}
