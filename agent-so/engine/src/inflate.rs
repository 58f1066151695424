//! What is compressed on a connection, made readable: zlib, and the blocks of Snappy and LZ4.
//!
//! Everything is read over any split and told in pieces of the caller's size. The last 64 KiB are kept, as far back as anything
//! refers: memory is fixed, and what a peer says of sizes is only ever a limit. Checksums are not looked at. Zstandard is not read.

mod block;
mod deflate;
mod lz4;
mod snappy;
#[cfg(test)]
mod tests;
mod window;

use deflate::Deflate;
use lz4::Lz4;
use snappy::Snappy;
use window::{Output, Window};

/// How something was compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Method {
    /// Not at all.
    #[default]
    Plain = 0,
    /// RFC 1950.
    Zlib,
    /// A raw block, which says its size itself.
    Snappy,
    /// A block without a frame.
    Lz4,
}

/// A reader of one compressed piece after the other. All-zero bytes are one that has read nothing; what another connection has
/// left is as good: each piece begins anew.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct Inflate {
    method: Method,
    /// Nothing more is to be had of this piece.
    is_broken: bool,
    snappy: Snappy,
    lz4: Lz4,
    /// Bytes that may still come out.
    left: u32,
    deflate: Deflate,
    window: Window,
}

impl Inflate {
    /// What is read next begins a piece of `size` bytes, once it is readable.
    pub fn begin(&mut self, method: Method, size: u32) {
        self.method = method;
        self.is_broken = false;
        self.left = size;
        self.window.clear();
        match method {
            Method::Plain => {}
            Method::Zlib => self.deflate.begin(),
            Method::Snappy => self.snappy = Snappy::new(size),
            Method::Lz4 => self.lz4 = Lz4::default(),
        }
    }

    /// Reads on. How many bytes of `input` that took, and how many of `out` it made; none of both: more input is needed.
    /// `None`: that is not how it was compressed, or it is longer than it should be. What comes before that is told first,
    /// however it is split.
    pub fn read(&mut self, input: &[u8], out: &mut [u8]) -> Option<(usize, usize)> {
        if self.is_broken {
            return None;
        }
        let mut output = Output::new(&mut self.window, out, &mut self.left);
        let used = match self.method {
            Method::Plain => output.plain(input),
            Method::Zlib => self.deflate.read(input, &mut output),
            Method::Snappy => self.snappy.read(input, &mut output),
            Method::Lz4 => self.lz4.read(input, &mut output),
        };
        let made = output.made();
        self.is_broken = used.is_none();
        match used {
            None if made == 0 => None,
            used => Some((used.unwrap_or(0), made)),
        }
    }

    /// Whether the piece is complete, and as long as was said.
    pub fn is_whole(&self) -> bool {
        let ended = match self.method {
            Method::Plain => true,
            Method::Zlib => self.deflate.is_whole(),
            Method::Snappy => self.snappy.is_whole(),
            Method::Lz4 => self.lz4.is_whole(),
        };
        ended && self.left == 0
    }
}
