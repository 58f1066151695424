//! The two tables of HPACK (RFC 7541 section 2.3), the dynamic one as far as a bystander can know it.

/// The static table; its first entry has index 1.
pub(super) static STATIC: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

/// The size that a dynamic table has until its encoder announces another.
const DEFAULT_SIZE: u32 = 4096;
/// Largest size of a dynamic table that is kept whole, by the reckoning of RFC 7541 section 4.1. Of a larger one the newest
/// entries are kept.
pub(super) const SIZE_MAX: u32 = 8192;
/// What an entry counts beyond its texts.
const OVERHEAD: u32 = 32;
const ENTRIES: usize = (SIZE_MAX / OVERHEAD) as usize;
/// Twice what the texts of all entries can have: so an entry can be written down in full before it is known how many others
/// make way for it, one of which may have lent it its name.
const RING: usize = 2 * SIZE_MAX as usize;

/// The dynamic table of one direction: the newest entries, oldest first. All-zero bytes are a new one.
///
/// What is kept is always a run of entries up to the newest, so an index either leads to the very entry that the decoder of
/// the connection has, or to nothing.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Table {
    /// Whether the encoder announced a size.
    sized: bool,
    announced: u32,
    /// By the reckoning of RFC 7541 section 4.1, of all entries kept.
    size: u32,
    first: u16,
    len: u16,
    /// Where in the ring the next text begins.
    head: u16,
    /// Of the entry under way: length of its name and of all its texts so far.
    name: u16,
    texts: u32,
    entries: [Entry; ENTRIES],
    ring: [u8; RING],
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    start: u16,
    name: u16,
    value: u16,
    /// It was too large to be kept.
    unknown: bool,
}

/// A text in a table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stored {
    start: u16,
    pub(super) len: u16,
}

/// What an index leads to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lookup {
    Entry {
        name: Stored,
        value: Stored,
    },
    /// There is an entry, which is not known.
    Unknown,
    /// There is none.
    Nothing,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            sized: false,
            announced: 0,
            size: 0,
            first: 0,
            len: 0,
            head: 0,
            name: 0,
            texts: 0,
            entries: [Entry::default(); ENTRIES],
            ring: [0; RING],
        }
    }
}

impl Table {
    /// As new, without touching the memory of the texts.
    pub(super) fn reset(&mut self) {
        self.sized = false;
        self.announced = 0;
        self.clear();
        self.head = 0;
        self.begin();
    }

    fn announced(&self) -> u32 {
        if self.sized {
            self.announced
        } else {
            DEFAULT_SIZE
        }
    }

    /// The encoder announces that it uses this much from here on. Whether it may is for the decoder to say.
    pub(super) fn resize(&mut self, size: u32) {
        self.sized = true;
        self.announced = size;
        self.make_room(0);
    }

    /// The entry `index`, counted from the newest, 0.
    pub(super) fn get(&self, index: usize) -> Lookup {
        let Some(back) = usize::from(self.len).checked_sub(index + 1) else {
            return if self.announced() > SIZE_MAX {
                Lookup::Unknown
            } else {
                Lookup::Nothing
            };
        };
        let entry = self.entries[(usize::from(self.first) + back) % ENTRIES];
        if entry.unknown {
            return Lookup::Unknown;
        }
        Lookup::Entry {
            name: Stored {
                start: entry.start,
                len: entry.name,
            },
            value: Stored {
                start: ((usize::from(entry.start) + usize::from(entry.name)) % RING) as u16,
                len: entry.value,
            },
        }
    }

    /// Copies the beginning of `text` to `out`; gives how much that was and what is left.
    pub(super) fn read(&self, text: Stored, out: &mut [u8]) -> (usize, Stored) {
        let count = usize::from(text.len).min(out.len());
        let start = usize::from(text.start);
        let (front, back) = out[..count].split_at_mut(count.min(RING - start));
        front.copy_from_slice(&self.ring[start..start + front.len()]);
        back.copy_from_slice(&self.ring[..back.len()]);
        let rest = Stored {
            start: ((start + count) % RING) as u16,
            len: text.len - count as u16,
        };
        (count, rest)
    }

    /// Begins another entry.
    pub(super) fn begin(&mut self) {
        self.name = 0;
        self.texts = 0;
    }

    /// Adds to the text of the entry under way. One that is longer than the table stays outside of it anyway.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let before = self.texts;
        self.texts = before.saturating_add(bytes.len().min(u32::MAX as usize) as u32);
        if self.texts > SIZE_MAX {
            return;
        }
        let start = (usize::from(self.head) + before as usize) % RING;
        let (front, back) = bytes.split_at(bytes.len().min(RING - start));
        self.ring[start..start + front.len()].copy_from_slice(front);
        self.ring[..back.len()].copy_from_slice(back);
    }

    /// Its text so far was its name.
    pub(super) fn name_ends(&mut self) {
        self.name = self.texts.min(SIZE_MAX) as u16;
    }

    /// The entry is complete; `known` as far as its name is.
    pub(super) fn commit(&mut self, known: bool) {
        let size = self.texts.saturating_add(OVERHEAD);
        if size > self.announced() {
            // Larger than the table: it empties it (RFC 7541 section 4.4).
            self.clear();
            return;
        }
        let kept = known && size <= SIZE_MAX;
        let size = if kept { size } else { OVERHEAD };
        self.make_room(size);
        let at = (usize::from(self.first) + usize::from(self.len)) % ENTRIES;
        self.entries[at] = Entry {
            start: self.head,
            name: self.name,
            value: if kept {
                (self.texts - u32::from(self.name)) as u16
            } else {
                0
            },
            unknown: !kept,
        };
        self.len += 1;
        self.size += size;
        if kept {
            self.head = ((usize::from(self.head) + self.texts as usize) % RING) as u16;
        }
    }

    /// Drops the oldest entries until there is room for `size` more.
    fn make_room(&mut self, size: u32) {
        let limit = self.announced().min(SIZE_MAX);
        while self.len > 0 && self.size + size > limit {
            let oldest = self.entries[usize::from(self.first)];
            let texts = if oldest.unknown {
                0
            } else {
                u32::from(oldest.name) + u32::from(oldest.value)
            };
            self.size -= texts + OVERHEAD;
            self.first = ((usize::from(self.first) + 1) % ENTRIES) as u16;
            self.len -= 1;
        }
    }

    fn clear(&mut self) {
        self.size = 0;
        self.first = 0;
        self.len = 0;
    }
}
