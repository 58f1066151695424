//! Texts that a connection remembers: prepared statements, and what else is referred to later by a name or number.

use crate::exchange::Field;
use crate::hash::{START, fnv1a};
use crate::protocol::wide::WideId;
use crate::protocol::{ExchangeId, Host};

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
    /// How many were begun before it.
    number: u64,
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
        if let Some(last) = self.begun.checked_sub(1)
            && let Some(entry) = self.entries.get((last % TEXTS as u64) as usize)
            && (entry.key, entry.is_there) == (key, true)
        {
            // Set again and again: that must not displace the others. What it did displace stays so.
            let (start, used) = (entry.start, self.used);
            for entry in &mut self.entries {
                entry.is_there &= entry.start + ARENA as u64 >= used;
            }
            self.begun = last;
            self.used = start;
        }
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
            number: self.begun,
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

    fn entry(&self, key: u64) -> Option<&Entry> {
        let entry = self.entries.iter().find(|e| e.is_there && e.key == key)?;
        (entry.start + ARENA as u64 >= self.used).then_some(entry)
    }

    /// The text of `key`, if it has one that is still kept.
    pub(in crate::protocol) fn find(&self, key: u64) -> Option<Found<'_>> {
        let entry = self.entry(key)?;
        let at = (entry.start % ARENA as u64) as usize;
        Some(Found {
            text: &self.arena[at..at + usize::from(entry.len)],
            is_cut: entry.is_cut,
        })
    }

    /// Gives `to` the text that `from` has; without one it names nothing from here on.
    pub(in crate::protocol) fn copy(&mut self, from: u64, to: u64) {
        let Some(source) = self.entry(from).copied() else {
            return self.remove(to);
        };
        self.begin(to);
        let len = usize::from(source.len);
        let at = (source.start % ARENA as u64) as usize;
        let into = (self.used % ARENA as u64) as usize;
        self.arena.copy_within(at..at + len, into);
        self.used += u64::from(source.len);
        let last = (self.begun - 1) % TEXTS as u64;
        self.entries[last as usize].len = source.len;
        self.entries[last as usize].is_cut = source.is_cut;
    }

    /// The text of `key` is in use: it does not give way before those that are not.
    pub(in crate::protocol) fn renew(&mut self, key: u64) {
        let half = TEXTS as u64 / 2;
        let old = self.begun.saturating_sub(half);
        if let Some(entry) = self.entry(key)
            && (entry.number < old || entry.start + ARENA as u64 / 2 < self.used)
        {
            self.copy(key, key);
        }
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

/// Appends the text that `key` has in the memory `wide` to the query of the exchange `id`, begun before.
pub(in crate::protocol) fn recall(wide: WideId, key: u64, id: ExchangeId, host: &mut impl Host) {
    let mut piece = [0; 256];
    let mut at = 0;
    loop {
        let Some(found) = host.wide_mut(wide).texts.find(key) else {
            return;
        };
        let is_cut = found.is_cut;
        let rest = found.text.get(at..).unwrap_or_default();
        let len = rest.len().min(piece.len());
        piece[..len].copy_from_slice(&rest[..len]);
        let exchange = host.exchange(id);
        exchange.append(Field::Query, &piece[..len], TEXT_MAX);
        if len < piece.len() {
            if is_cut {
                // One byte more than there is room for.
                exchange.append(Field::Query, b" ", at + len);
            }
            return;
        }
        at += len;
    }
}

/// The key of an empty name in a `space`, apart from those of the others.
pub(in crate::protocol) fn key_begins(space: u8) -> u64 {
    START ^ u64::from(space)
}

/// The key of a name that `bytes` go on with.
pub(in crate::protocol) fn key_goes_on(key: u64, bytes: &[u8]) -> u64 {
    fnv1a(key, bytes)
}

/// The key of a name in a `space`.
pub(in crate::protocol) fn key_of(space: u8, name: &[u8]) -> u64 {
    key_goes_on(key_begins(space), name)
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
    fn what_is_used_stays_and_what_is_replaced_takes_no_room() {
        let mut store = Box::<Texts>::default();
        let long = |n: usize| {
            let mut bytes = format!("{n}:").into_bytes();
            bytes.resize(TEXT_MAX, b'x');
            bytes
        };
        store.set(1, b"used");
        store.set(2, b"unused");
        for n in 0..1000 {
            store.set(3, &long(n));
            assert_eq!(store.find(3).unwrap().text, long(n));
        }
        assert_eq!(text(&store, 2), Some((b"unused".to_vec(), false)));
        for n in 0..1000usize {
            store.renew(1);
            store.set(
                10 + n as u64,
                &long(n)[..if n < 500 { TEXT_MAX } else { 20 }],
            );
            assert_eq!(text(&store, 1), Some((b"used".to_vec(), false)));
        }
        assert_eq!(text(&store, 2), None);
        store.set(4, &[b'x'; TEXT_MAX + 1]);
        store.copy(4, 5);
        store.copy(1, 6);
        assert_eq!(store.find(5), store.find(4));
        assert_eq!(text(&store, 6), text(&store, 1));
        store.copy(99, 6);
        assert_eq!(text(&store, 6), None);
    }

    /// Whatever is done, a text that is found is the one that was set last.
    #[test]
    fn no_text_is_ever_anothers() {
        let mut store = Box::<Texts>::default();
        let mut model = std::collections::HashMap::new();
        let mut seed = 1u64;
        for n in 0..200_000u64 {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let (what, key, other) = (seed >> 60, seed >> 40 & 31, seed >> 50 & 31);
            match what {
                0..12 => {
                    let len = (seed >> 20) as usize % if n % 1000 < 500 { 50 } else { 5000 };
                    let mut bytes = n.to_string().into_bytes();
                    bytes.resize(len.max(8), b'.');
                    store.set(key, &bytes);
                    bytes.truncate(TEXT_MAX);
                    model.insert(key, bytes);
                }
                12 => {
                    let is_there = store.find(key).is_some();
                    store.copy(key, other);
                    match is_there {
                        true => model.insert(other, model[&key].clone()),
                        false => model.remove(&other),
                    };
                }
                13 => store.renew(key),
                _ => {
                    store.remove(key);
                    model.remove(&key);
                }
            }
            for key in [key, other, n % 32] {
                if let Some(found) = store.find(key) {
                    assert_eq!(found.text, model[&key], "{n}");
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
