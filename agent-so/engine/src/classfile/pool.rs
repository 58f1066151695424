//! The constant pool: looking up, and adding at its end.

use super::reader::{Reader, put_u16};

const UTF8: u8 = 1;
const CLASS: u8 = 7;
const METHOD: u8 = 10;
const INTERFACE_METHOD: u8 = 11;
const NAME_AND_TYPE: u8 = 12;

/// The pool of a class file.
pub(super) struct Pool<'a> {
    /// Tag and content of each entry; tag 0 where there is none.
    entries: Vec<(u8, &'a [u8])>,
}

impl<'a> Pool<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let count = reader.u16()?;
        let mut entries = Vec::with_capacity(usize::from(count));
        entries.push((0, &[][..]));
        while entries.len() < usize::from(count) {
            let tag = reader.u8()?;
            let len = match tag {
                UTF8 => usize::from(reader.u16()?),
                CLASS | 8 | 16 | 19 | 20 => 2,
                15 => 3,
                3 | 4 | 9..=12 | 17 | 18 => 4,
                5 | 6 => 8,
                _ => return None,
            };
            entries.push((tag, reader.take(len)?));
            if matches!(tag, 5 | 6) {
                entries.push((0, &[][..])); // long and double take two numbers
            }
        }
        Some(Self { entries })
    }

    fn entry(&self, index: u16, tags: &[u8]) -> Option<&'a [u8]> {
        let (tag, content) = *self.entries.get(usize::from(index))?;
        tags.contains(&tag).then_some(content)
    }

    pub(super) fn utf8(&self, index: u16) -> Option<&'a [u8]> {
        self.entry(index, &[UTF8])
    }

    fn pair(content: &[u8]) -> Option<(u16, u16)> {
        let mut reader = Reader::new(content);
        Some((reader.u16()?, reader.u16()?))
    }

    /// Class, name and descriptor of a method that is called.
    pub(super) fn method(&self, index: u16) -> Option<[&'a [u8]; 3]> {
        let (class, rest) = Self::pair(self.entry(index, &[METHOD, INTERFACE_METHOD])?)?;
        let class = Reader::new(self.entry(class, &[CLASS])?).u16()?;
        let (name, descriptor) = Self::pair(self.entry(rest, &[NAME_AND_TYPE])?)?;
        Some([self.utf8(class)?, self.utf8(name)?, self.utf8(descriptor)?])
    }
}

/// Entries that are added.
pub(super) struct Added {
    bytes: Vec<u8>,
    /// Number of the next entry; `None` once the pool was full.
    next: Option<u16>,
    helper: String,
}

impl Added {
    pub(super) fn new(pool: &Pool<'_>, helper: &str) -> Self {
        Self {
            bytes: Vec::new(),
            next: u16::try_from(pool.entries.len()).ok(),
            helper: helper.to_owned(),
        }
    }

    fn add(&mut self, tag: u8, numbers: &[u16], text: &[u8]) -> Option<u16> {
        let index = self.next?;
        self.next = index.checked_add(1);
        self.bytes.push(tag);
        for n in numbers {
            put_u16(&mut self.bytes, *n);
        }
        self.bytes.extend_from_slice(text);
        Some(index)
    }

    pub(super) fn utf8(&mut self, text: &str) -> Option<u16> {
        self.add(UTF8, &[u16::try_from(text.len()).ok()?], text.as_bytes())
    }

    /// A static method of the helper class.
    pub(super) fn helper(&mut self, name: &str, descriptor: &str) -> Option<u16> {
        let class = self.helper.clone();
        let class = self.utf8(&class)?;
        let class = self.add(CLASS, &[class], &[])?;
        let (name, descriptor) = (self.utf8(name)?, self.utf8(descriptor)?);
        let both = self.add(NAME_AND_TYPE, &[name, descriptor], &[])?;
        self.add(METHOD, &[class, both], &[])
    }

    /// What is to follow the entries of the file, and how many there are then (as the file counts them).
    pub(super) fn finish(self) -> Option<(Vec<u8>, u16)> {
        Some((self.bytes, self.next?))
    }
}
