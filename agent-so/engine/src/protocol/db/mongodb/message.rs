//! Messages on the wire, read over any split.

use super::bson::{self, Document};

const HEADER: u8 = 16;
/// Longest message: what servers accept is 48,000,000 bytes.
pub(super) const LONGEST: u32 = 64 * 1024 * 1024;

pub(super) const REPLY: u32 = 1;
pub(super) const QUERY: u32 = 2004;
pub(super) const COMPRESSED: u32 = 2012;
pub(super) const MSG: u32 = 2013;

const CHECKSUM: u32 = 1;
const MORE_TO_COME: u32 = 1 << 1;
/// Of the flags that must be understood.
const REQUIRED: u32 = 0xffff;

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing of interest.
    More,
    /// Something in the message's document.
    Body(bson::Event),
    /// The message is complete.
    Done,
    Bad,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    #[default]
    Header = 0,
    /// Fixed fields behind it.
    Fields,
    /// The name of the collection in a query, and the numbers behind that.
    Collection,
    Numbers,
    /// What kind of section comes.
    Kind,
    Body,
    /// Length and name of a sequence of documents.
    SequenceLength,
    SequenceName,
    /// The length of a document in it, and the rest.
    Length,
    Document,
    /// What is not read.
    Rest,
}

/// A reader of the messages of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Messages {
    stage: Stage,
    fields: [u8; 20],
    len: u8,
    /// Bytes to come of the message; of these, what is a checksum.
    left: u32,
    checksum: u32,
    /// Bytes to come of a sequence, and of a document in it.
    sequence: u32,
    document: u32,
    /// The documents of the sequence are counted.
    counts: bool,
    /// How many documents were in such sequences.
    pub(super) documents: u32,
    has_body: bool,
    pub(super) id: u32,
    pub(super) answers: u32,
    pub(super) opcode: u32,
    flags: u32,
    pub(super) body: Document,
}

impl Messages {
    /// Whether the next byte begins a message.
    pub(super) fn is_between(&self) -> bool {
        self.stage == Stage::Header && self.len == 0
    }

    /// No answer comes to it, or another one behind it.
    pub(super) fn more_to_come(&self) -> bool {
        self.opcode == MSG && self.flags & MORE_TO_COME != 0
    }

    /// Reads on, up to what comes next. Returns how many bytes that took.
    pub(super) fn next(&mut self, bytes: &[u8]) -> (usize, Next) {
        let mut used = 0;
        while used < bytes.len() {
            let rest = &bytes[used..];
            if self.stage == Stage::Header {
                let (taken, next) = self.header(rest);
                used += taken;
                if next != Next::More {
                    return (used, next);
                }
                continue;
            }
            let content = self.content_left();
            if content == 0 {
                if !matches!(self.stage, Stage::Kind | Stage::Rest) {
                    return (used, Next::Bad);
                }
                self.stage = Stage::Rest;
            }
            let limit = if content == 0 { self.left } else { content };
            let rest = &rest[..rest.len().min(limit as usize)];
            let (taken, next) = self.content(rest);
            used += taken;
            self.left -= taken as u32;
            if next == Next::Bad {
                return (used, next);
            }
            if self.left == 0 {
                // The document that is over with the message is told of by its end.
                let whole = self.has_body && matches!(self.stage, Stage::Kind | Stage::Rest)
                    || self.is_blind();
                self.stage = Stage::Header;
                self.len = 0;
                return (used, if whole { Next::Done } else { Next::Bad });
            }
            if next != Next::More {
                return (used, next);
            }
        }
        (used, Next::More)
    }

    /// Bytes to come before the checksum.
    fn content_left(&self) -> u32 {
        self.left.saturating_sub(self.checksum)
    }

    /// Nothing of it is read but the header.
    fn is_blind(&self) -> bool {
        !matches!(self.opcode, MSG | QUERY | REPLY)
    }

    fn header(&mut self, rest: &[u8]) -> (usize, Next) {
        if self.len == 0 {
            *self = Self::default();
        }
        let (taken, whole) = self.gather(rest, HEADER);
        if whole {
            self.left = self.number(0).wrapping_sub(u32::from(HEADER));
            self.id = self.number(4);
            self.answers = self.number(8);
            self.opcode = self.number(12);
            if !(1..=LONGEST).contains(&self.left) {
                return (taken, Next::Bad);
            }
            self.len = 0;
            self.stage = if self.is_blind() {
                Stage::Rest
            } else {
                Stage::Fields
            };
        }
        (taken, Next::More)
    }

    /// One stage behind the header, as far as it goes. `rest` is not empty, and of this message.
    fn content(&mut self, rest: &[u8]) -> (usize, Next) {
        match self.stage {
            Stage::Header | Stage::Rest => (rest.len(), Next::More),
            Stage::Fields => {
                let (taken, whole) = self.gather(rest, if self.opcode == REPLY { 20 } else { 4 });
                if whole && !self.fields_done(taken) {
                    return (taken, Next::Bad);
                }
                (taken, Next::More)
            }
            Stage::Collection => match memchr::memchr(0, rest) {
                Some(end) => {
                    self.stage = Stage::Numbers;
                    (end + 1, Next::More)
                }
                None => (rest.len(), Next::More),
            },
            Stage::Numbers => {
                let (taken, whole) = self.gather(rest, 8);
                if whole {
                    self.begin_body(taken);
                }
                (taken, Next::More)
            }
            Stage::Kind => match rest[0] {
                0 if !self.has_body => {
                    self.begin_body(1);
                    (1, Next::More)
                }
                1 => {
                    self.stage = Stage::SequenceLength;
                    (1, Next::More)
                }
                _ => (1, Next::Bad),
            },
            Stage::Body => {
                let (taken, event) = self.body.next(rest);
                match event {
                    bson::Event::More => (taken, Next::More),
                    bson::Event::Bad => (taken, Next::Bad),
                    bson::Event::Done => {
                        // A query may select fields in another document; a reply may have more than one.
                        self.stage = if self.opcode == MSG {
                            Stage::Kind
                        } else {
                            Stage::Rest
                        };
                        (taken, Next::More)
                    }
                    event => (taken, Next::Body(event)),
                }
            }
            _ => self.sequence(rest),
        }
    }

    /// The fixed fields are complete, `taken` bytes of them just now. False: they cannot be these.
    fn fields_done(&mut self, taken: usize) -> bool {
        self.flags = self.number(0);
        self.len = 0;
        match self.opcode {
            MSG => {
                self.stage = Stage::Kind;
                if self.flags & CHECKSUM != 0 {
                    self.checksum = 4;
                }
                let room = self.left - taken as u32 > self.checksum;
                room && self.flags & REQUIRED & !(CHECKSUM | MORE_TO_COME) == 0
            }
            REPLY => {
                let documents = self.number(16);
                self.begin_body(taken);
                if documents == 0 {
                    self.stage = Stage::Rest;
                }
                true
            }
            _ => {
                self.stage = Stage::Collection;
                true
            }
        }
    }

    /// The document begins behind `taken` bytes that are counted later.
    fn begin_body(&mut self, taken: usize) {
        self.len = 0;
        self.has_body = true;
        self.stage = Stage::Body;
        self.body = Document::new(self.content_left().saturating_sub(taken as u32));
    }

    /// A sequence of documents.
    fn sequence(&mut self, rest: &[u8]) -> (usize, Next) {
        let content = self.content_left();
        match self.stage {
            Stage::SequenceLength => {
                let (taken, whole) = self.gather(rest, 4);
                if whole {
                    let length = self.number(0);
                    self.len = 0;
                    if !(5..=content.saturating_add(3)).contains(&length) {
                        return (taken, Next::Bad);
                    }
                    self.sequence = length - 4;
                    self.stage = Stage::SequenceName;
                }
                (taken, Next::More)
            }
            Stage::SequenceName => {
                let limit = rest.len().min(self.sequence as usize);
                let end = memchr::memchr(0, &rest[..limit]);
                for byte in &rest[..end.unwrap_or(limit)] {
                    if let Some(place) = self.fields.get_mut(usize::from(self.len)) {
                        *place = *byte;
                    }
                    self.len = self.len.saturating_add(1);
                }
                let taken = end.map_or(limit, |end| end + 1);
                self.sequence -= taken as u32;
                if end.is_some() {
                    let name = self.fields.get(..usize::from(self.len)).unwrap_or_default();
                    self.counts = is_work(name);
                    self.len = 0;
                    self.sequence_goes_on();
                } else if self.sequence == 0 {
                    return (taken, Next::Bad);
                }
                (taken, Next::More)
            }
            Stage::Length => {
                let (taken, whole) = self.gather(rest, 4);
                if taken as u32 > self.sequence {
                    return (taken, Next::Bad);
                }
                self.sequence -= taken as u32;
                if whole {
                    let length = self.number(0);
                    self.len = 0;
                    if length < 5 || length - 4 > self.sequence {
                        return (taken, Next::Bad);
                    }
                    self.document = length - 4;
                    self.documents = self.documents.saturating_add(u32::from(self.counts));
                    self.stage = Stage::Document;
                }
                (taken, Next::More)
            }
            _ => {
                let taken = rest.len().min(self.document as usize);
                self.document -= taken as u32;
                self.sequence -= taken as u32;
                if self.document == 0 {
                    self.sequence_goes_on();
                }
                (taken, Next::More)
            }
        }
    }

    fn sequence_goes_on(&mut self) {
        self.stage = if self.sequence == 0 {
            Stage::Kind
        } else {
            Stage::Length
        };
    }

    /// Collects `wanted` bytes. Returns how many of `rest` that took, and whether all are there.
    fn gather(&mut self, rest: &[u8], wanted: u8) -> (usize, bool) {
        let len = usize::from(self.len);
        let taken = rest.len().min(usize::from(wanted).saturating_sub(len));
        self.fields[len..len + taken].copy_from_slice(&rest[..taken]);
        self.len += taken as u8;
        (taken, self.len == wanted)
    }

    fn number(&self, at: usize) -> u32 {
        let field = &self.fields[at..at + 4];
        u32::from_le_bytes([field[0], field[1], field[2], field[3]])
    }

    /// Passes over `n` bytes that were not seen; false when they are not all of one message, or nothing of it would be left.
    /// Nothing more of the message is read.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        let inside = self.stage != Stage::Header && n < u64::from(self.content_left());
        if inside {
            self.left -= n as u32;
            self.has_body = true;
            self.stage = Stage::Rest;
        }
        inside
    }
}

/// Whether an array or a sequence of that name is what a command works on, one by one.
pub(super) fn is_work(name: &[u8]) -> bool {
    matches!(name, b"documents" | b"updates" | b"deletes" | b"ops")
}

/// Whether these are the first bytes of a request; `None`: they are not even its beginning.
pub(in crate::protocol) fn begins(prefix: &[u8]) -> Option<bool> {
    /// Header, flags, kind of the section, length of the document, its first element's type and a letter of its name.
    const CERTAIN: usize = 27;
    let field = |at: usize| {
        let bytes = prefix.get(at..at + 4)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    let fits = |known: Option<u32>, check: &dyn Fn(u32) -> bool| known.is_none_or(check);
    let length = field(0).unwrap_or(LONGEST);
    let ours = |code: u32| matches!(code, MSG | QUERY | COMPRESSED);
    let possible = (CERTAIN as u32..=LONGEST).contains(&length)
        && fits(field(8), &|answers| answers == 0)
        && fits(field(12), &ours);
    if !possible {
        return None;
    }
    let content = match field(12) {
        None => return Some(false),
        Some(MSG) => {
            fits(field(16), &|flags| {
                flags & REQUIRED & !(CHECKSUM | MORE_TO_COME) == 0
            }) && prefix.get(20).is_none_or(|kind| *kind <= 1)
                && fits(field(21), &|inside| (5..=length - 21).contains(&inside))
                && prefix.get(26).is_none_or(u8::is_ascii_alphabetic)
        }
        Some(QUERY) => prefix[16..]
            .iter()
            .skip(4)
            .take(7)
            .all(|byte| byte.is_ascii_graphic()),
        // Which message, how long it is, and how it was made shorter.
        Some(_) => {
            fits(field(16), &|code| matches!(code, MSG | QUERY))
                && fits(field(20), &|size| size <= LONGEST)
                && prefix.get(24).is_none_or(|by| *by <= 3)
        }
    };
    content.then_some(prefix.len() >= CERTAIN)
}
