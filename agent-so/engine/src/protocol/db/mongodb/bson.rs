//! Documents (BSON), read over any split: the elements on their first level, and below those that the reader is told to enter.

/// Levels that are read: a document, an array in it, its elements, and theirs.
const LEVELS: usize = 4;
/// Bytes kept of an element's name. Longer ones are none that matters here.
const NAME: usize = 32;
/// Length of a document without elements.
const EMPTY: u32 = 5;

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing of interest.
    More,
    /// Type and name of an element are known; [`Document::want`] says what is to become of it.
    Element,
    /// So many bytes, the last ones, are part of the text that is wanted.
    Text(usize),
    /// The number that is wanted.
    Number(i64),
    /// The document is complete.
    Done,
    /// They are no document.
    Bad,
}

/// What is to become of an element's value. What does not have the type for it is passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Want {
    #[default]
    Nothing = 0,
    Text,
    Number,
    /// Its elements.
    Inside,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    /// The length of a document.
    #[default]
    Length = 0,
    Type,
    Name,
    /// What the value begins with says how long it is.
    Size,
    Value,
    /// So many zero bytes end it.
    Strings,
    Done,
}

/// A document that is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Document {
    stage: Stage,
    want: Want,
    kind: u8,
    level: u8,
    /// Where the documents end that are being read, the outermost first; the first one is a limit before it is known.
    ends: [u32; LEVELS],
    at: u32,
    name: [u8; NAME],
    /// Saturating.
    name_len: u8,
    number: [u8; 8],
    number_len: u8,
    /// Bytes, or zero bytes, to come of a value.
    left: u32,
}

impl Document {
    /// One of at most so many bytes.
    pub(super) fn new(limit: u32) -> Self {
        Self {
            ends: [limit, 0, 0, 0],
            ..Self::default()
        }
    }

    /// The name of the element; empty if it is longer than what is kept.
    pub(super) fn name(&self) -> &[u8] {
        self.name
            .get(..usize::from(self.name_len))
            .unwrap_or_default()
    }

    /// How deep the element lies: 0 in the document itself.
    pub(super) fn level(&self) -> u8 {
        self.level
    }

    /// Whether the element is a text.
    pub(super) fn is_text(&self) -> bool {
        self.kind == 0x02
    }

    /// After [`Event::Element`]: what is to be told of its value.
    pub(super) fn want(&mut self, want: Want) {
        let fits = match want {
            Want::Nothing => true,
            Want::Text => self.is_text(),
            Want::Number => matches!(self.kind, 0x01 | 0x08 | 0x10 | 0x12),
            Want::Inside => {
                matches!(self.kind, 0x03 | 0x04) && usize::from(self.level) + 1 < LEVELS
            }
        };
        self.want = if fits { want } else { Want::Nothing };
    }

    /// Reads on, up to the next event. Returns how many bytes that took.
    pub(super) fn next(&mut self, bytes: &[u8]) -> (usize, Event) {
        let mut used = 0;
        while used < bytes.len() {
            let rest = &bytes[used..];
            let (taken, event) = self.step(rest);
            used += taken;
            self.at = self.at.saturating_add(taken as u32);
            // One byte of each document is its end.
            if event == Event::Bad || self.at > self.end() {
                return (used, Event::Bad);
            }
            if event != Event::More {
                return (used, event);
            }
        }
        (used, Event::More)
    }

    fn end(&self) -> u32 {
        self.ends[usize::from(self.level).min(LEVELS - 1)]
    }

    /// One stage, as far as it goes. `rest` is not empty.
    fn step(&mut self, rest: &[u8]) -> (usize, Event) {
        match self.stage {
            Stage::Length | Stage::Size => {
                self.keep(rest[0]);
                let event = if self.number_len < 4 {
                    Event::More
                } else {
                    let size = u32::from_le_bytes([
                        self.number[0],
                        self.number[1],
                        self.number[2],
                        self.number[3],
                    ]);
                    self.number_len = 0;
                    let known = match self.stage {
                        Stage::Length => self.document_of(size),
                        _ => self.value_of(size),
                    };
                    known.map_or(Event::Bad, |()| Event::More)
                };
                (1, event)
            }
            Stage::Type => {
                self.kind = rest[0];
                self.name_len = 0;
                if self.kind == 0 {
                    return (1, self.document_done());
                }
                self.stage = Stage::Name;
                (1, Event::More)
            }
            Stage::Name => {
                let end = memchr::memchr(0, rest);
                for byte in &rest[..end.unwrap_or(rest.len())] {
                    if let Some(place) = self.name.get_mut(usize::from(self.name_len)) {
                        *place = *byte;
                    }
                    self.name_len = self.name_len.saturating_add(1);
                }
                let Some(end) = end else {
                    return (rest.len(), Event::More);
                };
                self.want = Want::Nothing;
                match self.begin_value() {
                    Some(()) => (end + 1, Event::Element),
                    None => (end + 1, Event::Bad),
                }
            }
            Stage::Strings => {
                let end = memchr::memchr(0, rest);
                if end.is_some() {
                    self.left -= 1;
                }
                if self.left == 0 {
                    self.stage = Stage::Type;
                }
                (end.map_or(rest.len(), |end| end + 1), Event::More)
            }
            Stage::Value => self.value(rest),
            Stage::Done => (0, Event::Bad),
        }
    }

    fn keep(&mut self, byte: u8) {
        if let Some(place) = self.number.get_mut(usize::from(self.number_len)) {
            *place = byte;
        }
        self.number_len = self.number_len.saturating_add(1);
    }

    /// A document begins that is so long.
    fn document_of(&mut self, size: u32) -> Option<()> {
        // Its length has been read but for the last byte.
        let end = (self.at - 3).checked_add(size)?;
        let level = usize::from(self.level);
        let limit = match level.checked_sub(1) {
            None => self.ends[0],
            Some(outer) => self.ends[outer] - 1,
        };
        if size < EMPTY || end > limit {
            return None;
        }
        self.ends[level] = end;
        self.stage = Stage::Type;
        Some(())
    }

    /// The zero byte at the end of a document.
    fn document_done(&mut self) -> Event {
        if self.at + 1 != self.end() {
            return Event::Bad;
        }
        match self.level.checked_sub(1) {
            None => {
                self.stage = Stage::Done;
                Event::Done
            }
            Some(outer) => {
                self.level = outer;
                Event::More
            }
        }
    }

    /// How long the element's value is, or what says so.
    fn begin_value(&mut self) -> Option<()> {
        self.number = [0; 8];
        self.number_len = 0;
        let fixed = match self.kind {
            0x06 | 0x0a | 0xff | 0x7f => 0,
            0x08 => 1,
            0x10 => 4,
            0x01 | 0x09 | 0x11 | 0x12 => 8,
            0x07 => 12,
            0x13 => 16,
            0x0b => {
                self.left = 2;
                self.stage = Stage::Strings;
                return Some(());
            }
            0x02 | 0x03 | 0x04 | 0x05 | 0x0c | 0x0d | 0x0e | 0x0f => {
                self.stage = Stage::Size;
                return Some(());
            }
            _ => return None,
        };
        self.left = fixed;
        self.stage = if fixed == 0 {
            Stage::Type
        } else {
            Stage::Value
        };
        Some(())
    }

    /// The value is so long, by its own word.
    fn value_of(&mut self, size: u32) -> Option<()> {
        if self.want == Want::Inside {
            self.level += 1;
            return self.document_of(size);
        }
        let left = match self.kind {
            // The length itself is counted, too.
            0x03 | 0x04 | 0x0f => size.checked_sub(4)?,
            0x05 => size.checked_add(1)?,
            0x0c => size.checked_add(12)?,
            _ => size,
        };
        if left == 0 || left > self.end().checked_sub(self.at + 2)? {
            return None;
        }
        self.left = left;
        self.stage = Stage::Value;
        Some(())
    }

    /// Part of a value.
    fn value(&mut self, rest: &[u8]) -> (usize, Event) {
        let taken = rest.len().min(self.left as usize);
        match self.want {
            Want::Text if self.left > 1 => {
                // All but the zero byte.
                let taken = taken.min(self.left as usize - 1);
                self.left -= taken as u32;
                return (taken, Event::Text(taken));
            }
            Want::Number => rest[..taken].iter().for_each(|byte| self.keep(*byte)),
            _ => {}
        }
        self.left -= taken as u32;
        if self.left > 0 {
            return (taken, Event::More);
        }
        self.stage = Stage::Type;
        let event = match self.want {
            Want::Number => Event::Number(match self.kind {
                0x01 => f64::from_le_bytes(self.number) as i64,
                0x10 => i64::from(i64::from_le_bytes(self.number) as i32),
                _ => i64::from_le_bytes(self.number),
            }),
            _ => Event::More,
        };
        self.number_len = 0;
        (taken, event)
    }
}
