//! Texts of commands of stores that do not speak SQL. Each writes into a buffer of the caller's and shows no value that
//! a program stores, and no secret.

pub mod memcached;
pub mod mongodb;
pub mod redis;
#[cfg(test)]
mod tests;

/// A text under construction: pieces that do not fit, and all that come after, are left out.
#[derive(Debug)]
struct Line<'a> {
    out: &'a mut [u8],
    len: usize,
    full: bool,
}

impl<'a> Line<'a> {
    fn new(out: &'a mut [u8]) -> Self {
        Self {
            out,
            len: 0,
            full: false,
        }
    }

    /// Adds a word, with a blank before it.
    fn word(&mut self, word: &[u8]) {
        let blank = usize::from(self.len > 0);
        let end = self.len + blank + word.len();
        match self.out.get_mut(self.len..end) {
            Some(room) if !self.full => {
                room[..blank].fill(b' ');
                room[blank..].copy_from_slice(word);
                self.len = end;
            }
            _ => self.full = true,
        }
    }

    fn finish(self) -> Shown {
        Shown {
            len: self.len,
            truncated: self.full,
        }
    }
}

/// What was written of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Length of the text.
    pub len: usize,
    /// Something did not fit.
    pub truncated: bool,
}

/// Whether a key or name can be shown as a word of a text: printable, not long. Others become `?`.
fn is_plain(word: &[u8]) -> bool {
    const LONGEST: usize = 250;
    !word.is_empty() && word.len() <= LONGEST && word.iter().all(u8::is_ascii_graphic)
}
