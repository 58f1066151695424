//! A second look at what a server has read: which requests stand in it with their whole header block?
//!
//! It is taken at bytes that were fed already, by who wants to add a field for the program to read: so it looks at frames only.

use super::frames::{END_HEADERS, Frames, HEADERS, PADDED, number};
use super::{PREFACE, in_frame};

/// Goes through what was read, from where the connection stood before.
#[derive(Clone, Copy, Debug)]
pub struct Arrivals {
    /// Where the next frame begins, behind the rest of what began before.
    next_at: usize,
    newest_stream: u32,
}

/// A request whose header block is whole, in one frame. Offsets are bytes from the first one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its stream.
    pub stream: u32,
    /// Where its frame begins.
    pub at: usize,
    /// Where its last field ends, and another one may be added.
    pub end: usize,
    /// Payload of the frame, bytes.
    pub length: usize,
}

impl Arrivals {
    /// Of a connection on which nothing was read.
    pub(in crate::protocol) fn fresh() -> Self {
        Self {
            next_at: PREFACE.len(),
            newest_stream: 0,
        }
    }

    /// So much of the preface came in, and the frames stand like this. `None`: in the middle of what cannot be passed over.
    pub(super) fn new(preface: u8, frames: &Frames, newest_stream: u32) -> Option<Self> {
        let begun = if !frames.is_at_frame() && frames.kind() == HEADERS {
            frames.stream()
        } else {
            0
        };
        Some(Self {
            next_at: PREFACE.len() - usize::from(preface) + frames.until_next()?,
            newest_stream: newest_stream.max(begun),
        })
    }

    /// The next request in `bytes`, which were read after what began before; always the same ones are to be given.
    pub fn next(&mut self, bytes: &[u8]) -> Option<Arrival> {
        loop {
            let frame = bytes.get(self.next_at..)?;
            let header = frame.get(..in_frame(0))?;
            let length = number(&header[..3]) as usize;
            let payload = frame[header.len()..].get(..length)?;
            let (kind, flags) = (header[3], header[4]);
            let stream = number(&header[5..]) & 0x7fff_ffff;
            let at = self.next_at;
            self.next_at += header.len() + length;
            if kind != HEADERS || stream <= self.newest_stream {
                continue;
            }
            self.newest_stream = stream;
            let padding = match payload.first() {
                Some(padding) if flags & PADDED != 0 => usize::from(*padding),
                _ => 0,
            };
            if flags & END_HEADERS != 0 && padding < length {
                return Some(Arrival {
                    stream,
                    at,
                    end: self.next_at - padding,
                    length,
                });
            }
        }
    }
}
