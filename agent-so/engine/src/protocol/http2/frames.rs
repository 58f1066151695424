//! Frames (RFC 9113 section 4.1) cut into their parts, whatever the pieces they arrive in.

pub(super) const HEADER: usize = 9;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// Most bytes in front of a frame's content.
const LEAD_MAX: usize = 8;
/// CONTINUATION frames without end are an attack: this many of a block are followed.
const CONTINUATIONS_MAX: u8 = 64;

/// Where the frames of one direction stand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frames {
    /// When the first byte of the frame passed.
    pub(super) ns: u64,
    /// Of the payload, padding included.
    left: u32,
    /// The stream whose header block goes on in the next frame; 0: none.
    continues: u32,
    header: [u8; HEADER],
    have: u8,
    /// The fields in front of the content: how many bytes there are and are here.
    lead_len: u8,
    lead_have: u8,
    lead: [u8; LEAD_MAX],
    padding: u8,
    continuations: u8,
    /// The first frame has begun.
    begun: bool,
}

/// What a call of [`Frames::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// All bytes are used up.
    More,
    /// What stands in front of the content is complete, see [`Frames::lead`]; in SETTINGS, one setting after another.
    Lead,
    /// The next bytes of the content.
    Content(&'a [u8]),
    /// The frame is complete.
    End,
    /// No HTTP/2.
    Bad,
}

impl Frames {
    pub(super) fn kind(&self) -> u8 {
        self.header[3]
    }

    pub(super) fn flags(&self) -> u8 {
        self.header[4]
    }

    pub(super) fn stream(&self) -> u32 {
        number(&self.header[5..]) & 0x7fff_ffff
    }

    /// Payload of the frame, bytes.
    pub(super) fn length(&self) -> u32 {
        number(&self.header[..3])
    }

    /// What stands in front of the content, padding length left out.
    pub(super) fn lead(&self) -> &[u8] {
        let padded = usize::from(self.is_padded());
        &self.lead[padded..usize::from(self.lead_len)]
    }

    /// Bytes of the payload in front of the content.
    pub(super) fn lead_len(&self) -> u32 {
        self.lead_len.into()
    }

    /// Bytes of the payload up to the end of the content. Known when the lead is complete.
    pub(super) fn content_end(&self) -> u32 {
        self.length().saturating_sub(self.padding.into())
    }

    /// Whether the next byte begins a frame, and no header block is under way.
    pub(super) fn is_between(&self) -> bool {
        self.have == 0 && self.continues == 0
    }

    /// Whether the next byte begins a frame.
    pub(super) fn is_at_frame(&self) -> bool {
        self.have == 0
    }

    /// Payload of the frame that is still to come, bytes; nothing while its header is not complete.
    pub(super) fn left(&self) -> Option<u32> {
        (usize::from(self.have) == HEADER).then_some(self.left)
    }

    /// Bytes up to the next frame, unless a header is half here or a header block goes on in that frame.
    pub(super) fn until_next(&self) -> Option<usize> {
        let left = if self.have == 0 { 0 } else { self.left()? };
        (self.continues == 0).then_some(left as usize)
    }

    /// Whether the frames of a kind can carry the part of a header block, and this one ends it.
    pub(super) fn ends_block(&self) -> bool {
        matches!(self.kind(), HEADERS | PUSH_PROMISE | CONTINUATION)
            && self.flags() & END_HEADERS != 0
    }

    fn is_padded(&self) -> bool {
        matches!(self.kind(), DATA | HEADERS | PUSH_PROMISE) && self.flags() & PADDED != 0
    }

    /// Reads on; gives how many bytes were used and what they were.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8], now: u64) -> (usize, Piece<'a>) {
        let mut used = 0;
        if usize::from(self.have) < HEADER {
            let Some(room) = self.header.get_mut(usize::from(self.have)..) else {
                return (0, Piece::Bad);
            };
            if self.have == 0 && !bytes.is_empty() {
                self.ns = now;
            }
            used = room.len().min(bytes.len());
            room[..used].copy_from_slice(&bytes[..used]);
            self.have += used as u8;
            if usize::from(self.have) < HEADER {
                return (used, Piece::More);
            }
            if !self.begin() {
                return (used, Piece::Bad);
            }
            if self.lead_len == 0 {
                return (used, Piece::Lead);
            }
        }
        let rest = &bytes[used..];
        if self.lead_have < self.lead_len {
            let room = &mut self.lead[usize::from(self.lead_have)..usize::from(self.lead_len)];
            let count = room.len().min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            self.lead_have += count as u8;
            self.left -= count as u32;
            used += count;
            if self.lead_have < self.lead_len {
                return (used, Piece::More);
            }
            if self.is_padded() {
                self.padding = self.lead[0];
                if u32::from(self.padding) > self.left {
                    return (used, Piece::Bad);
                }
            }
            return (used, Piece::Lead);
        }
        if self.kind() == SETTINGS && self.left > 0 {
            // Another setting.
            self.lead_have = 0;
            return (used, Piece::Content(&[]));
        }
        if self.left == 0 {
            self.have = 0;
            return (used, Piece::End);
        }
        let content = self.left.saturating_sub(self.padding.into()) as usize;
        if rest.is_empty() {
            (used, Piece::More)
        } else if content > 0 {
            let count = content.min(rest.len());
            self.left -= count as u32;
            (used + count, Piece::Content(&rest[..count]))
        } else {
            let count = rest.len().min(self.left as usize);
            self.left -= count as u32;
            (used + count, Piece::Content(&[]))
        }
    }

    /// Passes over `n` bytes that were not seen, if they are all of the payload of a DATA frame. Gives how many are content.
    pub(super) fn skip(&mut self, n: u64) -> Option<u64> {
        let left = u64::from(self.left()?);
        if self.kind() != DATA || self.lead_have < self.lead_len || n > left {
            return None;
        }
        let content = left.saturating_sub(self.padding.into()).min(n);
        self.left -= n as u32;
        Some(content)
    }

    /// The header is complete. False: it is none.
    fn begin(&mut self) -> bool {
        let (kind, flags, stream, length) =
            (self.kind(), self.flags(), self.stream(), self.length());
        let first = !std::mem::replace(&mut self.begun, true);
        // Both sides begin with SETTINGS (RFC 9113 section 3.4).
        if first && (kind != SETTINGS || flags & ACK != 0) {
            return false;
        }
        let continues = std::mem::take(&mut self.continues);
        if continues != 0 && (kind != CONTINUATION || stream != continues) {
            return false;
        }
        self.left = length;
        self.padding = 0;
        self.lead_have = 0;
        self.lead_len = u8::from(self.is_padded());
        let fits = match kind {
            DATA => stream != 0,
            HEADERS => {
                self.continuations = 0;
                if flags & PRIORITY != 0 {
                    self.lead_len += 5;
                }
                stream != 0
            }
            PUSH_PROMISE => {
                self.continuations = 0;
                self.lead_len += 4;
                stream != 0
            }
            CONTINUATION => {
                self.continuations += 1;
                continues != 0 && self.continuations <= CONTINUATIONS_MAX
            }
            RST_STREAM => {
                self.lead_len = 4;
                stream != 0 && length == 4
            }
            SETTINGS => {
                self.lead_len = if length > 0 { 6 } else { 0 };
                stream == 0 && length.is_multiple_of(6)
            }
            GOAWAY => {
                self.lead_len = 8;
                stream == 0
            }
            _ => true,
        };
        if matches!(kind, HEADERS | PUSH_PROMISE | CONTINUATION) && !self.ends_block() {
            self.continues = stream;
        }
        fits && length >= self.lead_len.into()
    }
}

/// A number as it stands on the wire.
pub(super) fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b))
}
