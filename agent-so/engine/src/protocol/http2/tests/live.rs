//! Connections between the client and the server of another implementation, seen from both ends.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::super::super::tests::{Recorder, lossy};
use super::inject::{PARENT, PARENT_ONLY, write};
use crate::exchange::{Exchange, Field};
use crate::protocol::{Direction, Stream, Verdict};

/// What a connection made.
#[derive(Default)]
struct Seen {
    stream: Stream,
    host: Recorder,
}

/// One end of a connection, watched; the client's with additions to its requests.
struct Watched {
    inner: DuplexStream,
    seen: Arc<Mutex<Seen>>,
    adds: bool,
    /// What is still to be sent.
    pending: Vec<u8>,
}

impl Watched {
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            match Pin::new(&mut self.inner).poll_write(cx, &self.pending) {
                Poll::Ready(Ok(sent)) => drop(self.pending.drain(..sent)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        let seen = &mut *self.seen.lock().unwrap();
        let bytes = &buf.filled()[before..];
        seen.stream.feed(Direction::In, bytes, 2, &mut seen.host);
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.send(cx)?.is_pending() {
            return Poll::Pending;
        }
        let out = {
            let seen = &mut *self.seen.lock().unwrap();
            if self.adds {
                write(&mut seen.stream, &mut seen.host, &[buf], PARENT_ONLY)
            } else {
                seen.stream.feed(Direction::Out, buf, 1, &mut seen.host);
                buf.to_vec()
            }
        };
        self.pending = out;
        let _ = self.send(cx)?;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.send(cx)? {
            Poll::Ready(()) => Pin::new(&mut self.inner).poll_shutdown(cx),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Every request: path, and all its fields, as the server had them.
type Served = BTreeMap<String, HeaderMap>;

async fn serve(io: Watched) -> Served {
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(200)
        .handshake::<_, Bytes>(io)
        .await
        .unwrap();
    let mut served = Served::new();
    let mut answers = Vec::new();
    while let Some(request) = connection.accept().await {
        let (request, respond) = request.unwrap();
        let (parts, body) = request.into_parts();
        served.insert(parts.uri.path().to_owned(), parts.headers);
        answers.push(tokio::spawn(answer(body, respond)));
    }
    for answer in answers {
        answer.await.unwrap();
    }
    served
}

/// Takes the body; answers with as many bytes and a trailer.
async fn answer(mut body: h2::RecvStream, mut respond: h2::server::SendResponse<Bytes>) {
    let mut len = 0;
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        len += data.len();
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    let response = Response::builder()
        .status(if len.is_multiple_of(2) { 200 } else { 404 })
        .header("x-id", format!("id-{len}"));
    let mut send = respond
        .send_response(response.body(()).unwrap(), false)
        .unwrap();
    send.send_data(Bytes::from(vec![b'r'; len]), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    send.send_trailers(trailers).unwrap();
}

/// Sends `count` requests at once, whose bodies have as many bytes as their number says.
async fn ask(io: Watched, count: usize, table: u32) {
    let (client, connection) = h2::client::Builder::new()
        .header_table_size(table)
        .handshake::<_, Bytes>(io)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let mut asked = Vec::new();
    for i in 0..count {
        let mut client = client.clone().ready().await.unwrap();
        let request = Request::builder()
            .method("POST")
            .uri(format!("http://example.com/items/{i}"))
            .header("user-agent", "live/1")
            .header("x-request-id", format!("request {i}"))
            .header("x-big", "b".repeat(i * 37 % 5000))
            .body(())
            .unwrap();
        let (response, mut body) = client.send_request(request, false).unwrap();
        body.send_data(Bytes::from(vec![b'q'; i]), true).unwrap();
        asked.push(async move {
            let mut response = response.await.unwrap().into_body();
            let mut len = 0;
            while let Some(data) = response.data().await {
                let data = data.unwrap();
                len += data.len();
                let _ = response.flow_control().release_capacity(data.len());
            }
            assert_eq!(len, i);
            assert!(response.trailers().await.unwrap().is_some());
        });
    }
    for asked in asked {
        asked.await;
    }
    drop(client);
    driver.await.unwrap().unwrap();
}

/// Lets both talk; gives what the server had, and what was seen at the client's and at the server's end.
fn talk(count: usize, table: u32, adds: bool, buffer: usize) -> (Served, [Recorder; 2]) {
    let (a, b) = tokio::io::duplex(buffer);
    let ends = [a, b].map(|inner| {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let watched = Watched {
            inner,
            seen: seen.clone(),
            adds: false,
            pending: Vec::new(),
        };
        (watched, seen)
    });
    let [(mut client, ours), (server, theirs)] = ends;
    client.adds = adds;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let served = runtime.block_on(async {
        let server = tokio::spawn(serve(server));
        ask(client, count, table).await;
        server.await.unwrap()
    });
    let hosts = [ours, theirs].map(|seen| {
        let seen = &mut *seen.lock().unwrap();
        assert_eq!(seen.stream.streams_open(), 0);
        seen.stream.close(9, &mut seen.host);
        std::mem::take(&mut seen.host)
    });
    (served, hosts)
}

fn number(ex: &Exchange) -> usize {
    let path = lossy(ex.text(Field::Target));
    path.trim_start_matches("/items/").parse().unwrap()
}

#[test]
fn both_ends_of_a_connection_see_every_stream() {
    for (count, table, buffer) in [
        (1, 4096, 1 << 20),
        (150, 4096, 1 << 20),
        (40, 0, 100),
        (120, 65536, 3000),
    ] {
        let (served, hosts) = talk(count, table, false, buffer);
        assert_eq!(served.len(), count);
        for host in hosts {
            assert_eq!(host.finished.len(), count);
            let mut numbers = Vec::new();
            for &at in &host.finished {
                let ex = &host.exchanges[at];
                let i = number(ex);
                numbers.push(i);
                let fields = [Field::Method, Field::Host, Field::UserAgent];
                let texts = fields.map(|field| lossy(ex.text(field)));
                assert_eq!(texts, ["POST", "example.com", "live/1"]);
                assert_eq!(ex.status, if i.is_multiple_of(2) { 200 } else { 404 });
                assert_eq!((ex.request_body, ex.response_body), (i as u64, i as u64));
                let captured: Vec<_> = ex.captured().map(|(_, v)| lossy(Some(v))).collect();
                assert_eq!(
                    captured,
                    ["live/1", &format!("request {i}"), &format!("id-{i}")]
                );
            }
            numbers.sort_unstable();
            assert_eq!(numbers, (0..count).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_server_gets_what_the_client_sent_and_the_additions() {
    for (count, buffer) in [(1, 1 << 20), (100, 1 << 20), (30, 64)] {
        let (plain, _) = talk(count, 4096, false, buffer);
        let (added, [_, server]) = talk(count, 4096, true, buffer);
        let mut with_context = 0;
        for (path, mut headers) in added {
            if let Some(value) = headers.remove("traceparent") {
                assert_eq!(value, PARENT);
                with_context += 1;
            }
            assert_eq!(&headers, &plain[&path]);
        }
        // The client gathers what it writes; a block that a write does not end is left alone.
        assert!(with_context * 10 >= count * 9, "{with_context} of {count}");
        let carried = server.finished.iter().filter(|&&at| {
            server.exchanges[at].text(Field::Traceparent) == Some(PARENT.as_bytes())
        });
        assert_eq!(carried.count(), with_context);
    }
}

#[test]
fn a_stream_that_the_client_gives_up() {
    let (a, b) = tokio::io::duplex(1 << 20);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let watched = Watched {
        inner: a,
        seen: seen.clone(),
        adds: false,
        pending: Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let server = tokio::spawn(async {
            let mut connection = h2::server::handshake(b).await.unwrap();
            let (_request, mut respond) = connection.accept().await.unwrap().unwrap();
            let reset = poll_fn(|cx| {
                let _ = connection.poll_closed(cx);
                respond.poll_reset(cx)
            });
            assert_eq!(reset.await.unwrap(), h2::Reason::CANCEL);
        });
        let (mut client, connection) = h2::client::handshake(watched).await.unwrap();
        let driver = tokio::spawn(connection);
        let request = Request::get("http://example.com/slow").body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        drop(response);
        server.await.unwrap();
        drop(client);
        let _ = driver.await.unwrap();
    });
    let seen = &mut *seen.lock().unwrap();
    assert_eq!(seen.host.summary(), ["GET /slow 0 ok 0/0 1-1"]);
    let verdict = seen.stream.feed(Direction::In, b"", 3, &mut seen.host);
    assert_eq!(verdict, Verdict::Tracked);
}
