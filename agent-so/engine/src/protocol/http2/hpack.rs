//! HPACK (RFC 7541): the fields of header blocks, whatever the pieces they arrive in.
//!
//! Nothing is collected: values are handed through as they come, so a header list may have any size.

use super::huffman::Huffman;
use super::table::{Lookup, STATIC, Stored, Table};

/// Longest field name told, bytes; a longer one is followed as an unnamed field.
pub(super) const NAME_MAX: usize = 48;
/// Bytes decoded at once.
pub(super) const OUT: usize = 128;

/// What a call of [`Decoder::next`] found. Lengths are of what was put into `out`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// All bytes are used up.
    More,
    /// A name; `None` where it is not known or too long. Unless [`Decoder::want`] is called now, its value is skipped.
    Name(Option<usize>),
    /// The next bytes of a wanted value, as they stand in the block.
    Plain(&'a [u8]),
    /// The next bytes of a wanted value, decoded.
    Decoded(usize),
    /// The value is complete.
    End,
    /// No header block.
    Bad,
}

/// Reads the header blocks of one direction, in their order. All-zero bytes are a new one.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(super) struct Decoder {
    phase: Phase,
    form: Form,
    coded: bool,
    wanted: bool,
    /// Nothing of the entry being added is missing.
    known: bool,
    /// A field was seen in this block.
    begun: bool,
    huffman: Huffman,
    shift: u8,
    number: u32,
    /// Bytes of the string that are still to come.
    left: u32,
    fixed: u8,
    /// What of a value that stands in a table is still to be told.
    stored: Stored,
    name_len: u8,
    name: Name,
    table: Table,
}

#[derive(Clone, Debug)]
struct Name([u8; NAME_MAX]);

impl Default for Name {
    fn default() -> Self {
        Self([0; NAME_MAX])
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Between representations.
    #[default]
    Between = 0,
    /// In the bytes of a number that began before.
    Index,
    NameStart,
    NameLength,
    Name,
    ValueStart,
    ValueLength,
    Value,
    /// A name was told whose value stands in the static, the dynamic, or no table.
    Static,
    Dynamic,
    Nowhere,
}

/// The representations (RFC 7541 section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Form {
    /// An entry of a table.
    #[default]
    Indexed = 0,
    /// A literal that becomes an entry.
    Added,
    /// A literal that leaves no trace.
    Literal,
    Size,
}

impl Decoder {
    /// As new, without touching the memory of the texts.
    pub(super) fn reset(&mut self) {
        self.phase = Phase::Between;
        self.huffman = Huffman::default();
        self.table.reset();
    }

    /// Another block begins.
    pub(super) fn begin(&mut self) {
        self.begun = false;
    }

    /// Whether a block may end here.
    pub(super) fn is_between(&self) -> bool {
        self.phase == Phase::Between
    }

    /// Asks for the value of the name just found.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// How the field being read is represented.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Reads on; gives how many bytes were used and what they were.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8], out: &mut [u8; OUT]) -> (usize, Piece<'a>) {
        let mut used = 0;
        loop {
            if matches!(self.phase, Phase::Static | Phase::Dynamic | Phase::Nowhere) {
                return (used, self.tell_stored(out));
            }
            if self.left == 0 {
                match self.phase {
                    Phase::Name => return (used, self.name_ends(out)),
                    Phase::Value => return (used, self.value_ends()),
                    _ => {}
                }
            }
            let Some(&byte) = bytes.get(used) else {
                return (used, Piece::More);
            };
            let rest = &bytes[used..];
            let piece = match self.phase {
                Phase::Between => {
                    used += 1;
                    self.representation(byte, out)
                }
                Phase::NameStart | Phase::ValueStart => {
                    used += 1;
                    self.coded = byte & 0x80 != 0;
                    self.phase = if self.phase == Phase::NameStart {
                        self.name_len = 0;
                        Phase::NameLength
                    } else {
                        Phase::ValueLength
                    };
                    if self.starts(byte, 0x7f) {
                        self.string();
                    }
                    None
                }
                Phase::Index | Phase::NameLength | Phase::ValueLength => {
                    used += 1;
                    match self.goes_on(byte) {
                        None => Some(Piece::Bad),
                        Some(false) => None,
                        Some(true) if self.phase == Phase::Index => self.indexed(out),
                        Some(true) => {
                            self.string();
                            None
                        }
                    }
                }
                Phase::Name => match self.string_bytes(rest, out) {
                    None => Some(Piece::Bad),
                    Some((n, Piece::Plain(bytes))) => {
                        used += n;
                        self.name_bytes(bytes);
                        None
                    }
                    Some((n, Piece::Decoded(len))) => {
                        used += n;
                        self.name_bytes(&out[..len]);
                        None
                    }
                    Some((n, _)) => {
                        used += n;
                        None
                    }
                },
                Phase::Value => match self.string_bytes(rest, out) {
                    None => Some(Piece::Bad),
                    Some((n, piece)) => {
                        used += n;
                        self.value_bytes(piece, out)
                    }
                },
                Phase::Static | Phase::Dynamic | Phase::Nowhere => None,
            };
            if let Some(piece) = piece {
                return (used, piece);
            }
        }
    }

    /// The first byte of a number whose prefix has the bits of `mask`. Whether it is complete.
    fn starts(&mut self, byte: u8, mask: u8) -> bool {
        self.number = u32::from(byte & mask);
        self.shift = 0;
        byte & mask != mask
    }

    /// Another byte of a number. Whether it is complete; `None` for one that is too large to mean anything.
    fn goes_on(&mut self, byte: u8) -> Option<bool> {
        if self.shift > 21 {
            return None;
        }
        self.number += u32::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        Some(byte & 0x80 == 0)
    }

    fn representation(&mut self, byte: u8, out: &mut [u8; OUT]) -> Option<Piece<'static>> {
        let mask;
        (self.form, mask) = match byte {
            0x80.. => (Form::Indexed, 0x7f),
            0x40.. => (Form::Added, 0x3f),
            0x20.. => (Form::Size, 0x1f),
            _ => (Form::Literal, 0x0f),
        };
        self.wanted = false;
        self.known = true;
        self.table.begin();
        if self.starts(byte, mask) {
            return self.indexed(out);
        }
        self.phase = Phase::Index;
        None
    }

    /// The number that a representation begins with is complete.
    fn indexed(&mut self, out: &mut [u8; OUT]) -> Option<Piece<'static>> {
        if self.form == Form::Size {
            // Only at the beginning of a block (RFC 7541 section 4.2).
            if self.begun {
                return Some(Piece::Bad);
            }
            self.table.resize(self.number);
            self.phase = Phase::Between;
            return None;
        }
        self.begun = true;
        let index = self.number as usize;
        if index == 0 {
            self.phase = Phase::NameStart;
            return (self.form == Form::Indexed).then_some(Piece::Bad);
        }
        let told = if let Some((name, _)) = STATIC.get(index - 1) {
            self.fixed = index as u8;
            self.phase = Phase::Static;
            self.borrowed_name(name);
            out[..name.len()].copy_from_slice(name);
            Some(name.len())
        } else {
            match self.table.get(index - 1 - STATIC.len()) {
                Lookup::Nothing => return Some(Piece::Bad),
                Lookup::Unknown => {
                    self.phase = Phase::Nowhere;
                    self.known = false;
                    None
                }
                Lookup::Entry { name, value } => {
                    self.phase = Phase::Dynamic;
                    self.stored = value;
                    self.stored_name(name, out)
                }
            }
        };
        if self.form != Form::Indexed {
            self.phase = Phase::ValueStart;
        }
        Some(Piece::Name(told))
    }

    fn stored_name(&mut self, name: Stored, out: &mut [u8; OUT]) -> Option<usize> {
        let mut rest = name;
        while rest.len > 0 {
            let count;
            (count, rest) = self.table.read(rest, out);
            self.borrowed_name(&out[..count]);
        }
        if usize::from(name.len) > NAME_MAX {
            return None;
        }
        Some(self.table.read(name, out).0)
    }

    /// A piece of a name that stands in a table, for the entry that is perhaps being added.
    fn borrowed_name(&mut self, bytes: &[u8]) {
        if self.form == Form::Added {
            self.table.push(bytes);
            self.table.name_ends();
        }
    }

    fn tell_stored(&mut self, out: &mut [u8; OUT]) -> Piece<'static> {
        if !self.wanted || self.phase == Phase::Nowhere {
            self.phase = Phase::Between;
            return Piece::End;
        }
        let count;
        if self.phase == Phase::Static {
            let (_, value) = STATIC[usize::from(self.fixed) - 1];
            out[..value.len()].copy_from_slice(value);
            count = value.len();
            self.phase = Phase::Nowhere;
        } else {
            (count, self.stored) = self.table.read(self.stored, out);
            if self.stored.len == 0 {
                self.phase = Phase::Nowhere;
            }
        }
        Piece::Decoded(count)
    }

    /// The length of a string is complete.
    fn string(&mut self) {
        self.left = self.number;
        self.phase = if self.phase == Phase::NameLength {
            Phase::Name
        } else {
            Phase::Value
        };
    }

    /// Takes some of a string: [`Piece::Plain`], [`Piece::Decoded`], or [`Piece::More`] for what is passed over.
    fn string_bytes<'a>(
        &mut self,
        bytes: &'a [u8],
        out: &mut [u8; OUT],
    ) -> Option<(usize, Piece<'a>)> {
        let most = bytes.len().min(self.left as usize);
        let bytes = &bytes[..most];
        let needed = self.phase == Phase::Name || self.wanted || self.form == Form::Added;
        let (used, piece) = if !needed {
            (most, Piece::More)
        } else if self.coded {
            let (used, written) = self.huffman.push(bytes, out)?;
            (used, Piece::Decoded(written))
        } else {
            (most, Piece::Plain(bytes))
        };
        self.left -= used as u32;
        Some((used, piece))
    }

    fn name_bytes(&mut self, bytes: &[u8]) {
        let from = usize::from(self.name_len);
        match self.name.0.get_mut(from..from + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.name_len += bytes.len() as u8;
            }
            None => self.name_len = NAME_MAX as u8 + 1,
        }
        if self.form == Form::Added {
            self.table.push(bytes);
        }
    }

    fn name_ends(&mut self, out: &mut [u8; OUT]) -> Piece<'static> {
        if self.coded && !self.huffman.end() {
            return Piece::Bad;
        }
        self.table.name_ends();
        self.phase = Phase::ValueStart;
        let name = self.name.0.get(..usize::from(self.name_len));
        Piece::Name(name.map(|name| {
            out[..name.len()].copy_from_slice(name);
            name.len()
        }))
    }

    fn value_bytes<'a>(&mut self, piece: Piece<'a>, out: &[u8; OUT]) -> Option<Piece<'a>> {
        if self.form == Form::Added {
            match piece {
                Piece::Plain(bytes) => self.table.push(bytes),
                Piece::Decoded(len) => self.table.push(&out[..len]),
                _ => {}
            }
        }
        (self.wanted && piece != Piece::Decoded(0) && piece != Piece::More).then_some(piece)
    }

    fn value_ends(&mut self) -> Piece<'static> {
        let read = self.wanted || self.form == Form::Added;
        if self.coded && read && !self.huffman.end() {
            return Piece::Bad;
        }
        if self.form == Form::Added {
            self.table.commit(self.known);
        }
        self.phase = Phase::Between;
        Piece::End
    }
}
