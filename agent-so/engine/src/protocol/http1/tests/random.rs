//! Bytes of any kind, the host without room, and the limits of the machine.

use proptest::prelude::*;

use super::super::super::tests::{Recorder, Step, bytewise, whole};
use super::cases::{cases, i, o};
use crate::exchange::Kind;
use crate::protocol::{Direction, Ended, Stream, Verdict};

/// Bytes of the sort that gets a parser far.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..6),
        prop::sample::select(vec![
            "GET /",
            "POST * ",
            "CONNECT h",
            " HTTP/1.1\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.0 101 x\r\n",
            "HTTP/1.1 100 c\r\n",
            "Content-Length: 3\r\n",
            "Transfer-Encoding: chunked\r\n",
            "\r\n",
            "\n",
            "\r\n\r\n",
            "3\r\nabc\r\n",
            "0\r\n\r\n",
            "abc",
            "Connection: close\r\n",
            "baggage: a=1\r\n",
            "Upgrade: x\r\nConnection: upgrade\r\n",
            "traceparent: x\r\n",
            "tracestate:\r\n y\r\n",
            "Expect: 100-continue\r\n",
            "X-Request-Id: ",
            "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
            "HTTP/1.1 204 x\r\n\r\n",
        ])
        .prop_map(|s| s.as_bytes().to_vec()),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

fn step() -> impl Strategy<Value = Step> {
    use crate::exchange::Fault::ConnectionReset;
    let dir = || prop::sample::select(vec![Direction::In, Direction::Out]);
    prop_oneof![
        8 => bytes().prop_map(Step::In),
        8 => bytes().prop_map(Step::Out),
        1 => (dir(), 0u64..9).prop_map(|(dir, n)| Step::Skip(dir, n)),
        1 => dir().prop_map(|dir| Step::End(dir, Ended::Eof)),
        1 => dir().prop_map(|dir| Step::End(dir, Ended::Failed(ConnectionReset))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    /// The recorder checks the rest: a head before each end, a method, a target and a version in each, one call
    /// of each, nothing left open.
    #[test]
    fn any_bytes_are_followed_alike(mut steps in prop::collection::vec(step(), 1..8)) {
        steps.push(Step::Close);
        let (mut host, mut cut) = (Recorder::default(), Recorder::default());
        host.run(&steps, whole);
        cut.run(&steps, bytewise);
        prop_assert_eq!(&host.events, &cut.events);
        let mut passed = [Vec::new(), Vec::new()];
        for step in &steps {
            match step {
                Step::In(bytes) => passed[0].extend_from_slice(bytes),
                Step::Out(bytes) => passed[1].extend_from_slice(bytes),
                _ => {}
            }
        }
        let lines = |bytes: &Vec<u8>| bytes.windows(8).filter(|w| w == b" HTTP/1.").count();
        prop_assert!(host.finished.len() <= lines(&passed[0]).max(lines(&passed[1])));
    }

    /// Requests and responses of one connection in any order that causality allows give the same exchanges.
    #[test]
    fn interleaving_does_not_matter(order in prop::collection::vec(any::<bool>(), 400)) {
        let request = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: h\r\n\r\n";
        let response = b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxyHTTP/1.1 204 No\r\n\r\n";
        // The second response may start once the second request line has passed.
        let first = response.len() - b"HTTP/1.1 204 No\r\n\r\n".len();
        let (mut stream, mut host) = (Stream::default(), Recorder::default());
        let (mut sent, mut got) = (0, 0);
        let mut turns = order.into_iter();
        while sent < request.len() || got < response.len() {
            let may_answer = sent >= 37 && got < first || sent >= 60;
            if sent == request.len() || may_answer && got < response.len() && turns.next() == Some(true) {
                stream.feed(Direction::In, &response[got..=got], 5, &mut host);
                got += 1;
            } else {
                stream.feed(Direction::Out, &request[sent..=sent], 5, &mut host);
                sent += 1;
            }
        }
        let status: Vec<u16> = host.finished.iter().map(|&i| host.exchanges[i].status).collect();
        prop_assert_eq!(status, [200, 204]);
    }
}

#[test]
fn without_room_nothing_is_recorded_and_all_is_followed() {
    for (name, steps, _) in cases() {
        let (mut host, mut roomy) = (
            Recorder {
                full: true,
                ..Recorder::default()
            },
            Recorder::default(),
        );
        host.run(&steps, whole);
        roomy.run(&steps, whole);
        assert_eq!(host.events.len(), 0, "{name}");
        assert_eq!(host.verdict, roomy.verdict, "{name}");
    }
}

#[test]
fn sixty_four_requests_may_wait() {
    let get = "GET /a HTTP/1.1\r\n\r\n";
    let mut host = Recorder::default();
    host.run(
        &[
            i(&get.repeat(64)),
            o(&"HTTP/1.1 204 x\r\n\r\n".repeat(64)),
            i(get),
        ],
        whole,
    );
    assert_eq!(
        (host.finished.len(), host.verdict),
        (64, Some(Verdict::Tracked))
    );
    let mut host = Recorder::default();
    host.run(&[o(&get.repeat(64)), o(get)], whole);
    assert_eq!(host.verdict, Some(Verdict::Opaque));
    assert_eq!(host.summary(), ["GET /a 0 ok 0/0 10-20"; 64]);
}

#[test]
fn a_request_may_start_only_between_requests_of_a_client() {
    use Direction::{In, Out};
    let mut host = Recorder::default();
    let mut stream = Stream::default();
    let mut say = |stream: &mut Stream, dir, bytes: &str| {
        stream.feed(dir, bytes.as_bytes(), 1, &mut host);
        stream.can_start_request(Out)
    };
    assert!(!say(&mut stream, Out, "GET / HTTP/1.1\r\n"));
    assert!(say(&mut stream, Out, "\r\n"), "pipelining");
    assert!(say(
        &mut stream,
        In,
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
    ));
    assert!(!say(
        &mut stream,
        Out,
        "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    ));
    assert!(
        say(
            &mut stream,
            In,
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        ),
        "refused"
    );
    assert!(!stream.can_start_request(In));
    assert_eq!(stream.role(), Some(Kind::Client));
    assert!(say(&mut stream, Out, "GET / HTTP/1.1\r\n\r\n"));
    assert!(!say(
        &mut stream,
        In,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    ));

    let mut stream = Stream::default();
    assert!(!say(&mut stream, Out, "CONNECT h:1 HTTP/1.1\r\n\r\n"));
    assert!(!say(&mut stream, In, "HTTP/1.1 200 OK\r\n\r\n"));
    assert_eq!(stream.role(), None);

    let mut stream = Stream::default();
    assert!(!say(&mut stream, In, "GET / HTTP/1.1\r\n\r\n"));
    assert_eq!(stream.role(), Some(Kind::Server));
}
