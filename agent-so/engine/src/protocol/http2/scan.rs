//! A look at frames before they are written: does a request begin there whose header block is whole?

use super::PREFACE;
use super::frames::{Frames, HEADERS, Piece};
use crate::protocol::http1::scan::Scan;
use crate::protocol::outgoing::{BlockEdit, Head, Syntax};

/// Reads the segments of one outgoing write up to the end of the first request's header block in them. Frames in front of it
/// are passed over. It looks at no field: what the block says is known once it was fed.
#[derive(Clone, Copy, Debug)]
pub(in crate::protocol) struct FrameScan {
    preface: u8,
    newest_stream: u32,
    state: Scan,
    frames: Frames,
    /// Bytes pushed before the current segment.
    pushed: usize,
    /// Where the frame being read began, and the block, if they did so in this write.
    frame_at: Option<usize>,
    block_at: Option<usize>,
    end: usize,
}

impl FrameScan {
    /// For a connection of which so much of the preface went out, whose frames stand like this.
    pub(super) fn new(preface: u8, frames: Frames, newest_stream: u32) -> Self {
        Self {
            preface,
            newest_stream,
            state: Scan::More,
            frames,
            pushed: 0,
            frame_at: None,
            block_at: None,
            end: 0,
        }
    }

    /// For a connection that began with the preface, in this write.
    pub(in crate::protocol) fn after_preface() -> Self {
        Self {
            pushed: PREFACE.len(),
            ..Self::new(PREFACE.len() as u8, Frames::default(), 0)
        }
    }

    pub(in crate::protocol) fn push(&mut self, bytes: &[u8]) -> Scan {
        let mut used = 0;
        let preface = &PREFACE[usize::from(self.preface)..];
        if !preface.is_empty() {
            used = preface.len().min(bytes.len());
            if bytes[..used] != preface[..used] {
                self.state = Scan::NotRequest;
            }
            self.preface += used as u8;
        }
        while self.state == Scan::More {
            let rest = &bytes[used..];
            if self.frames.is_at_frame() && !rest.is_empty() {
                self.frame_at = Some(self.pushed + used);
            }
            let (n, piece) = self.frames.next(rest, 0);
            used += n;
            match piece {
                Piece::More => break,
                Piece::Bad => self.state = Scan::NotRequest,
                Piece::Lead if self.frames.kind() == HEADERS => {
                    let stream = self.frames.stream();
                    self.block_at = None;
                    if stream % 2 == 1 && stream > self.newest_stream {
                        self.newest_stream = stream;
                        self.block_at = self.frame_at;
                    }
                }
                Piece::End if self.frames.ends_block() && self.block_at.is_some() => {
                    self.end = self.pushed + used;
                    self.state = Scan::Complete;
                }
                Piece::Lead | Piece::Content(_) | Piece::End => {}
            }
        }
        self.pushed += bytes.len();
        self.state
    }

    pub(in crate::protocol) fn head(&self) -> Option<Head> {
        let insert_at = self.block_at.filter(|_| self.state == Scan::Complete)?;
        Some(Head {
            insert_at,
            len: self.end,
            traceparent: None,
            has_traceparent: false,
            has_tracestate: false,
            has_baggage: false,
            signed: false,
            is_partial: false,
            syntax: Syntax::HeaderBlock(BlockEdit::default()),
            replace: None,
        })
    }
}
