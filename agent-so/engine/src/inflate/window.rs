//! What was made last, and the place for what is being made.

/// As far back as anything refers.
const SIZE: usize = 64 * 1024;

/// The last bytes made.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Window {
    /// Where the next one goes.
    at: u16,
    /// How many there are.
    filled: u32,
    bytes: [u8; SIZE],
}

impl Default for Window {
    fn default() -> Self {
        Self {
            at: 0,
            filled: 0,
            bytes: [0; SIZE],
        }
    }
}

impl Window {
    /// What was made belongs to another piece.
    pub(super) fn clear(&mut self) {
        self.at = 0;
        self.filled = 0;
    }

    fn advance(&mut self, n: usize) {
        self.at = self.at.wrapping_add(n as u16);
        self.filled = (self.filled + n as u32).min(SIZE as u32);
    }
}

/// Where the bytes go that are made in one call.
pub(super) struct Output<'a> {
    window: &'a mut Window,
    out: &'a mut [u8],
    made: usize,
    /// As many may still be made, now or later.
    left: &'a mut u32,
}

impl<'a> Output<'a> {
    pub(super) fn new(window: &'a mut Window, out: &'a mut [u8], left: &'a mut u32) -> Self {
        Self {
            window,
            out,
            made: 0,
            left,
        }
    }

    /// How many bytes were made in this call.
    pub(super) fn made(&self) -> usize {
        self.made
    }

    /// As many may still be made, now or later.
    pub(super) fn left(&self) -> u32 {
        *self.left
    }

    /// Whether anything can be made now.
    pub(super) fn has_room(&self) -> bool {
        self.made < self.out.len()
    }

    /// Of `wanted` bytes, how many can be made now. `None`: so many will never be.
    fn room(&self, wanted: usize) -> Option<usize> {
        (wanted <= *self.left as usize).then(|| wanted.min(self.out.len() - self.made))
    }

    /// Puts `bytes` as they are, as far as there is room. Returns how many.
    pub(super) fn literal(&mut self, bytes: &[u8]) -> Option<usize> {
        let n = self.room(bytes.len())?;
        let mut rest = &bytes[..n];
        while !rest.is_empty() {
            let at = usize::from(self.window.at);
            let (now, later) = rest.split_at(rest.len().min(SIZE - at));
            self.window.bytes[at..at + now.len()].copy_from_slice(now);
            self.tell(at, now.len());
            rest = later;
        }
        Some(n)
    }

    /// Puts one byte as it is; false: there is no room now. `None`: there will never be.
    pub(super) fn push(&mut self, byte: u8) -> Option<bool> {
        if *self.left == 0 {
            return None;
        }
        let Some(place) = self.out.get_mut(self.made) else {
            return Some(false);
        };
        *place = byte;
        self.window.bytes[usize::from(self.window.at)] = byte;
        self.window.advance(1);
        self.made += 1;
        *self.left -= 1;
        Some(true)
    }

    /// Puts `bytes` as they are, as far as there is room, and as many as may be made.
    pub(super) fn plain(&mut self, bytes: &[u8]) -> Option<usize> {
        let n = bytes.len().min(*self.left as usize);
        if n == 0 && !bytes.is_empty() {
            return None;
        }
        self.literal(&bytes[..n])
    }

    /// Repeats `wanted` bytes that were made `distance` bytes ago, as far as there is room. Returns how many.
    pub(super) fn copy(&mut self, distance: u32, wanted: u32) -> Option<u32> {
        if distance == 0 || distance > self.window.filled {
            return None;
        }
        let n = self.room(wanted as usize)?;
        let mut left = n;
        while left > 0 {
            let at = usize::from(self.window.at);
            let from = usize::from(self.window.at.wrapping_sub(distance as u16));
            // What is repeated may reach into what is made by that.
            let step = left.min(distance as usize).min(SIZE - at.max(from));
            self.window.bytes.copy_within(from..from + step, at);
            self.tell(at, step);
            left -= step;
        }
        Some(n as u32)
    }

    /// `n` bytes stand at `at` in the window.
    fn tell(&mut self, at: usize, n: usize) {
        self.out[self.made..self.made + n].copy_from_slice(&self.window.bytes[at..at + n]);
        self.window.advance(n);
        self.made += n;
        *self.left -= n as u32;
    }
}
