//! Bodies of frames, read over any split: the reader says what it wants next, and is told when it is there.

/// Most bytes of a value that are kept. Names of keyspaces have at most 48.
pub(super) const KEPT: usize = 48;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Mode {
    /// To be passed over.
    #[default]
    Pass = 0,
    /// Its front is kept.
    Keep,
    /// Handed on as it comes.
    Text,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got<'a> {
    /// What is wanted is not all there.
    More,
    /// A piece of a text.
    Text(&'a [u8]),
    /// What was wanted has passed.
    Whole,
}

/// A place in the body of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// Bytes of the body to come.
    left: u32,
    /// Bytes of what is wanted to come; 0: it was there.
    want: u32,
    mode: Mode,
    /// More was wanted than there is.
    pub(super) is_broken: bool,
    have: u8,
    kept: [u8; KEPT],
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            left: 0,
            want: 0,
            mode: Mode::Pass,
            is_broken: false,
            have: 0,
            kept: [0; KEPT],
        }
    }
}

impl Cursor {
    /// At the front of a body of so many bytes.
    pub(super) fn new(body: u32) -> Self {
        Self {
            left: body,
            ..Self::default()
        }
    }

    /// Reads on in `bytes`. Returns how many of them that took.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Got<'a>) {
        if self.want == 0 {
            return (0, Got::Whole);
        }
        let taken = bytes.len().min(self.want as usize);
        let piece = &bytes[..taken];
        self.want -= taken as u32;
        self.left -= taken as u32;
        match self.mode {
            Mode::Text if taken > 0 => return (taken, Got::Text(piece)),
            Mode::Keep => {
                let at = usize::from(self.have);
                let kept = taken.min(KEPT - at);
                self.kept[at..at + kept].copy_from_slice(&piece[..kept]);
                self.have += kept as u8;
            }
            Mode::Pass | Mode::Text => {}
        }
        let got = if self.want == 0 {
            Got::Whole
        } else {
            Got::More
        };
        (taken, got)
    }

    fn wants(&mut self, mode: Mode, n: u32) {
        self.mode = mode;
        self.have = 0;
        self.is_broken |= n > self.left;
        self.want = n.min(self.left);
    }

    /// The next `n` bytes are kept, as far as there is room.
    pub(super) fn keep(&mut self, n: u32) {
        self.wants(Mode::Keep, n);
    }

    pub(super) fn pass(&mut self, n: u32) {
        self.wants(Mode::Pass, n);
    }

    pub(super) fn text(&mut self, n: u32) {
        self.wants(Mode::Text, n);
    }

    /// All that is left is of no interest.
    pub(super) fn pass_rest(&mut self) {
        self.wants(Mode::Pass, self.left);
    }

    /// Bytes of the body that come after what is wanted.
    pub(super) fn beyond(&self) -> u32 {
        self.left - self.want
    }

    /// What was kept, taken as a number.
    pub(super) fn number(&self) -> u32 {
        let bytes = &self.kept[..usize::from(self.have).min(4)];
        bytes.iter().fold(0, |n, byte| n << 8 | u32::from(*byte))
    }

    /// The same with its sign: lengths of values; below zero there is none.
    pub(super) fn length(&self) -> u32 {
        u32::try_from(self.number().cast_signed()).unwrap_or(0)
    }

    pub(super) fn kept(&self) -> &[u8] {
        &self.kept[..usize::from(self.have)]
    }

    /// Passes over `n` bytes that were not seen; false when they are not all of something that is of no interest.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        let inside = self.mode == Mode::Pass && n < u64::from(self.want);
        if inside {
            self.want -= n as u32;
            self.left -= n as u32;
        }
        inside
    }
}
