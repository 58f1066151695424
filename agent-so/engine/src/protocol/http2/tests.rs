//! Connections made by hand, and by other implementations.

mod arrivals;
mod calls;
mod cases;
mod hpack;
mod inject;
mod limits;
mod live;
mod replace;
mod splits;

/// A frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A literal field without indexing.
pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        match text.len().checked_sub(0x7f) {
            None => bytes.push(text.len() as u8),
            Some(mut more) => {
                bytes.push(0x7f);
                while more > 0x7f {
                    bytes.push((more & 0x7f) as u8 | 0x80);
                    more >>= 7;
                }
                bytes.push(more as u8);
            }
        }
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// The block of a request, all literals.
pub(super) fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "h"),
    ];
    block(&[&pseudo, more].concat())
}

pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(n, v)| field(n, v)).collect()
}

pub(super) const PREFACE: &[u8] = super::PREFACE;

/// An empty SETTINGS frame.
pub(super) fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[])
}
