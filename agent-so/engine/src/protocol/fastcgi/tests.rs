//! What the machine makes of connections.

mod cases;
mod params;
mod random;
mod scan;
mod splits;

use super::super::tests::Step;
use super::record::*;

/// One record.
fn record(kind: u8, id: u16, content: &[u8]) -> Vec<u8> {
    padded(kind, id, content, 0)
}

fn padded(kind: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let ([a, b], [c, d]) = (id.to_be_bytes(), (content.len() as u16).to_be_bytes());
    let mut bytes = vec![1, kind, a, b, c, d, padding, 0];
    bytes.extend(content);
    bytes.resize(bytes.len() + usize::from(padding), 0xaa);
    bytes
}

fn begin(id: u16, keep: bool) -> Vec<u8> {
    record(BEGIN_REQUEST, id, &[0, 1, keep.into(), 0, 0, 0, 0, 0])
}

fn end(id: u16) -> Vec<u8> {
    record(END_REQUEST, id, &[0; 8])
}

/// Name-value pairs.
fn pairs(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in pairs {
        for len in [name.len(), value.len()] {
            match u8::try_from(len) {
                Ok(len @ ..0x80) => bytes.push(len),
                _ => bytes.extend((len as u32 | 1 << 31).to_be_bytes()),
            }
        }
        bytes.extend(name.bytes().chain(value.bytes()));
    }
    bytes
}

const GET: [(&str, &str); 3] = [
    ("REQUEST_METHOD", "GET"),
    ("REQUEST_URI", "/a"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
];

/// A whole request without a body.
fn get(id: u16, keep: bool) -> Vec<u8> {
    request(id, keep, &GET, b"")
}

fn request(id: u16, keep: bool, params: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut all = vec![
        begin(id, keep),
        record(PARAMS, id, &pairs(params)),
        record(PARAMS, id, b""),
    ];
    if !body.is_empty() {
        all.push(record(STDIN, id, body));
    }
    all.push(record(STDIN, id, b""));
    all.concat()
}

fn answer(id: u16, text: &str) -> Vec<u8> {
    let parts = [
        record(STDOUT, id, text.as_bytes()),
        record(STDOUT, id, b""),
        end(id),
    ];
    parts.concat()
}

const OK: &str = "Content-type: text/html\r\n\r\nhello";

fn i(bytes: Vec<u8>) -> Step {
    Step::In(bytes)
}

fn o(bytes: Vec<u8>) -> Step {
    Step::Out(bytes)
}
