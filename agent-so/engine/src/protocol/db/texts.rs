//! Texts that a connection remembers: prepared statements, and what else is referred to later by a name or number.

/// Longest text kept, bytes; what is longer is cut here.
pub(in crate::protocol) const TEXT_MAX: usize = crate::exchange::QUERY_MAX;
/// Bytes of all of them.
const ARENA: usize = 64 * 1024;
/// How many are kept: the oldest give way.
const TEXTS: usize = 256;

/// One connection's. All-zero bytes are an empty store.
#[derive(Clone, Debug)]
pub(in crate::protocol) struct Texts {
    /// How many were begun, ever.
    begun: u64,
    /// Bytes used, ever: a place in the arena is this modulo its size.
    used: u64,
    entries: [Entry; TEXTS],
    arena: [u8; ARENA],
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: u64,
    start: u64,
    len: u16,
    is_cut: bool,
    is_there: bool,
}

impl Default for Texts {
    fn default() -> Self {
        Self {
            begun: 0,
            used: 0,
            entries: [Entry::default(); TEXTS],
            arena: [0; ARENA],
        }
    }
}

/// A text that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) struct Found<'a> {
    pub(in crate::protocol) text: &'a [u8],
    /// It was longer than [`TEXT_MAX`].
    pub(in crate::protocol) is_cut: bool,
}

impl Texts {
    /// Forgets all of them.
    pub(in crate::protocol) fn reset(&mut self) {
        let used = self.begun.min(TEXTS as u64) as usize;
        self.entries[..used].fill(Entry::default());
        self.begun = 0;
        self.used = 0;
    }

    /// Begins the text that `key` names from here on; [`Texts::append`] gives it bytes.
    pub(in crate::protocol) fn begin(&mut self, key: u64) {
        self.remove(key);
        // A text stands in one piece.
        let left = ARENA - (self.used % ARENA as u64) as usize;
        if left < TEXT_MAX {
            self.used += left as u64;
        }
        let at = (self.begun % TEXTS as u64) as usize;
        self.entries[at] = Entry {
            key,
            start: self.used,
            len: 0,
            is_cut: false,
            is_there: true,
        };
        self.begun += 1;
    }

    /// Appends to the text begun last.
    pub(in crate::protocol) fn append(&mut self, bytes: &[u8]) {
        let Some(last) = self.begun.checked_sub(1) else {
            return;
        };
        let entry = &mut self.entries[(last % TEXTS as u64) as usize];
        let take = bytes.len().min(TEXT_MAX - usize::from(entry.len));
        let at = (self.used % ARENA as u64) as usize;
        self.arena[at..at + take].copy_from_slice(&bytes[..take]);
        self.used += take as u64;
        entry.len += take as u16;
        entry.is_cut |= take < bytes.len();
    }

    /// The text of `from` is that of `to` from here on.
    pub(in crate::protocol) fn rename(&mut self, from: u64, to: u64) {
        self.remove(to);
        for entry in &mut self.entries {
            if entry.is_there && entry.key == from {
                entry.key = to;
            }
        }
    }

    /// Sets the text of `key` in one go.
    pub(in crate::protocol) fn set(&mut self, key: u64, text: &[u8]) {
        self.begin(key);
        self.append(text);
    }

    /// The text of `key`, if it has one that is still kept.
    pub(in crate::protocol) fn find(&self, key: u64) -> Option<Found<'_>> {
        let entry = self.entries.iter().find(|e| e.is_there && e.key == key)?;
        if entry.start + (ARENA as u64) < self.used {
            return None;
        }
        let at = (entry.start % ARENA as u64) as usize;
        Some(Found {
            text: &self.arena[at..at + usize::from(entry.len)],
            is_cut: entry.is_cut,
        })
    }

    /// `key` names nothing from here on.
    pub(in crate::protocol) fn remove(&mut self, key: u64) {
        for entry in &mut self.entries {
            if entry.key == key {
                entry.is_there = false;
            }
        }
    }
}

/// A key for a name (FNV-1a), apart from those of another `space`.
pub(in crate::protocol) fn key_of(space: u8, name: &[u8]) -> u64 {
    name.iter()
        .fold(0xcbf2_9ce4_8422_2325 ^ u64::from(space), |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(store: &Texts, key: u64) -> Option<(Vec<u8>, bool)> {
        store.find(key).map(|f| (f.text.to_vec(), f.is_cut))
    }

    #[test]
    fn texts_are_set_replaced_and_removed() {
        let mut store = Box::<Texts>::default();
        assert_eq!(text(&store, 0), None);
        store.append(b"nothing was begun");
        store.set(1, b"one");
        store.begin(2);
        store.append(b"tw");
        store.append(b"o");
        assert_eq!(text(&store, 1), Some((b"one".to_vec(), false)));
        assert_eq!(text(&store, 2), Some((b"two".to_vec(), false)));
        store.set(1, b"uno");
        assert_eq!(text(&store, 1), Some((b"uno".to_vec(), false)));
        store.rename(2, 1);
        assert_eq!(text(&store, 1), Some((b"two".to_vec(), false)));
        assert_eq!(text(&store, 2), None);
        store.rename(1, 2);
        store.set(1, b"uno");
        store.remove(1);
        assert_eq!(text(&store, 1), None);
        assert_eq!(text(&store, 2), Some((b"two".to_vec(), false)));
        store.set(3, &[b'x'; TEXT_MAX + 1]);
        assert_eq!(text(&store, 3), Some((vec![b'x'; TEXT_MAX], true)));
        store.reset();
        assert_eq!(text(&store, 2), None);
        store.set(2, b"again");
        assert_eq!(text(&store, 2), Some((b"again".to_vec(), false)));
    }

    #[test]
    fn the_oldest_give_way_and_none_is_ever_another() {
        let mut store = Box::<Texts>::default();
        for (count, len) in [(1000, 3), (1000, 300), (100, TEXT_MAX), (1000, 50)] {
            store.reset();
            for key in 0..count {
                let mut bytes = format!("{key}:").into_bytes();
                bytes.resize(len.max(bytes.len()), b'.');
                store.set(key, &bytes);
                let kept = (0..=key).filter(|k| store.find(*k).is_some()).count();
                let room = ((ARENA - TEXT_MAX) / len - 1).min(TEXTS);
                assert!(kept >= room.min(key as usize + 1), "{kept} of {len}");
                for old in key.saturating_sub(300)..=key {
                    if let Some(found) = store.find(old) {
                        assert!(found.text.starts_with(format!("{old}:").as_bytes()));
                    }
                }
            }
        }
    }

    #[test]
    fn names_have_keys_in_their_space() {
        assert_ne!(key_of(0, b"a"), key_of(1, b"a"));
        assert_ne!(key_of(0, b"a"), key_of(0, b"b"));
        assert_eq!(key_of(0, b"a"), key_of(0, b"a"));
    }
}
