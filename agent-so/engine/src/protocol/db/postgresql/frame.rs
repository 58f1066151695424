//! Messages on the wire: a type, a length that counts itself, a body. The client's first ones have no type.

/// Longest first message of a client, as servers see it.
const OPENING_MAX: u32 = 10_000;

/// A reader of the messages of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frames {
    head: [u8; 5],
    /// Bytes of the head that were read.
    read: u8,
    /// The message under way; 0: one without a type.
    pub(super) kind: u8,
    /// Bytes of its body to come.
    left: u32,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// They end in the middle of a head.
    More,
    /// With them the head of a message is complete.
    Head,
    /// They are (part of) its body.
    Body,
    /// No message has such a length.
    Bad,
}

impl Frames {
    /// Whether the next byte begins a message.
    pub(super) fn is_between(&self) -> bool {
        self.read == 0 && self.left == 0
    }

    /// Whether all of the message whose head was read last has passed.
    pub(super) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Bytes of the body to come.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// Reads one part of what comes next, of messages with a type or without. Returns how many bytes it takes, at least one.
    pub(super) fn next(&mut self, bytes: &[u8], typed: bool) -> (usize, Part) {
        if self.left > 0 {
            let used = bytes.len().min(self.left as usize);
            self.left -= used as u32;
            return (used, Part::Body);
        }
        if self.read == 0 && !typed {
            self.read = 1;
            self.head[0] = 0;
        }
        let room = &mut self.head[usize::from(self.read)..];
        let used = bytes.len().min(room.len());
        room[..used].copy_from_slice(&bytes[..used]);
        self.read += used as u8;
        if usize::from(self.read) < self.head.len() {
            return (used, Part::More);
        }
        let [kind, length @ ..] = self.head;
        self.read = 0;
        self.kind = kind;
        let most = if typed { i32::MAX as u32 } else { OPENING_MAX };
        let length = u32::from_be_bytes(length);
        if !(4..=most).contains(&length) {
            return (used, Part::Bad);
        }
        self.left = length - 4;
        (used, Part::Head)
    }

    /// Passes over `n` bytes that were not seen; false when they are not all inside of one body.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        let inside = self.read == 0 && n < u64::from(self.left);
        if inside {
            self.left -= n as u32;
        }
        inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_bodies_in_any_pieces() {
        let mut frames = Frames::default();
        assert_eq!(frames.next(b"\0\0\0", false), (3, Part::More));
        assert!(!frames.is_between());
        assert_eq!(frames.next(b"\x08ab", false), (1, Part::Head));
        assert_eq!((frames.kind, frames.left()), (0, 4));
        assert_eq!(frames.next(b"abcdQ", false), (4, Part::Body));
        assert!(frames.is_done() && frames.is_between());
        assert_eq!(frames.next(b"Q\0\0\0\x04", true), (5, Part::Head));
        assert!(frames.is_done());
        assert_eq!(frames.kind, b'Q');
        assert_eq!(frames.next(b"d\0\0\0\x0exyz", true), (5, Part::Head));
        assert_eq!(frames.next(b"xyz", true), (3, Part::Body));
        assert!(!frames.skip(7) && frames.skip(6));
        assert_eq!(frames.next(b"zz", true), (1, Part::Body));
        assert!(frames.is_between());
    }

    #[test]
    fn lengths_that_cannot_be() {
        for (bytes, typed) in [
            (&b"Q\0\0\0\x03"[..], true),
            (b"Q\x80\0\0\0", true),
            (b"\0\0\0\x03", false),
            (b"\0\0\x27\x11", false),
        ] {
            assert_eq!(Frames::default().next(bytes, typed).1, Part::Bad);
        }
    }
}
