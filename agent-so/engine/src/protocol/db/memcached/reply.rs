//! Replies of the text protocol, read over any split.

use super::class::{self, Classes};

/// Bytes kept of a word: enough for every kind of reply and every number.
const WORD: usize = 20;

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// They belong to a reply that goes on.
    More,
    /// A reply is complete, of this class.
    Done(Classes),
    /// They are no reply.
    Bad,
}

/// A reader of replies.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Replies {
    /// The word under way; its length saturates.
    word: [u8; WORD],
    len: u8,
    /// Which word it is, from 0; saturating.
    index: u8,
    /// Class of the line under way, once its first word is known; 0: it is not.
    line: Classes,
    /// Class of the reply: that of its first line.
    reply: Classes,
    /// Bytes of a value to come, its end of line included: announced in the line under way, and of that under way.
    announced: u64,
    value: u64,
    /// The name of the error read last.
    code: [u8; 12],
    code_len: u8,
}

impl Replies {
    /// Whether the next byte begins a reply.
    pub(super) fn is_between(&self) -> bool {
        self.reply == 0 && self.line == 0 && self.len == 0 && self.value == 0
    }

    /// What kind of error the reply read last was.
    pub(super) fn code(&self) -> &[u8] {
        &self.code[..usize::from(self.code_len)]
    }

    /// Reads up to the end of the next reply. Returns how many bytes that took.
    pub(super) fn next(&mut self, bytes: &[u8]) -> (usize, Next) {
        let mut used = 0;
        while let Some(&byte) = bytes.get(used) {
            if self.value > 0 {
                let taken = ((bytes.len() - used) as u64).min(self.value);
                self.value -= taken;
                used += taken as usize;
                if self.value == 0 && self.reply == class::VA {
                    return (used, self.done());
                }
                continue;
            }
            used += 1;
            match byte {
                b'\n' => {
                    if self.word_done().is_none() {
                        return (used, Next::Bad);
                    }
                    let line = std::mem::take(&mut self.line);
                    self.index = 0;
                    self.value = std::mem::take(&mut self.announced);
                    if self.reply == 0 {
                        self.reply = line;
                    }
                    if line == class::VALUE || line == class::VA {
                        continue;
                    }
                    if line != class::STAT {
                        return (used, self.done());
                    }
                }
                b' ' => {
                    if self.word_done().is_none() {
                        return (used, Next::Bad);
                    }
                }
                b'\r' => {}
                _ => {
                    if let Some(place) = self.word.get_mut(usize::from(self.len)) {
                        *place = byte;
                    }
                    self.len = self.len.saturating_add(1);
                }
            }
        }
        (used, Next::More)
    }

    /// A word is complete. `None`: it cannot stand there.
    fn word_done(&mut self) -> Option<()> {
        let len = usize::from(std::mem::take(&mut self.len));
        let word = self.word.get(..len);
        let front = &self.word[..len.min(WORD)];
        let index = self.index;
        self.index = index.saturating_add(1);
        match index {
            0 => {
                self.line = line_class(front)?;
                // A list ends with END, or with an error.
                let ends = class::END | class::EN | class::ERROR;
                let goes_on = matches!(self.reply, class::VALUE | class::STAT);
                if goes_on && self.line != self.reply && self.line & ends == 0 {
                    return None;
                }
                if self.line == class::ERROR {
                    let kept = front.len().min(self.code.len());
                    self.code[..kept].copy_from_slice(&front[..kept]);
                    self.code_len = kept as u8;
                }
            }
            // `VALUE key flags bytes [cas]`, `VA bytes flags`.
            1 if self.line == class::VA => self.announced = length(word?)?,
            3 if self.line == class::VALUE => self.announced = length(word?)?,
            _ => {}
        }
        Some(())
    }

    fn done(&mut self) -> Next {
        let class = self.reply;
        *self = Self {
            code: self.code,
            code_len: self.code_len,
            ..Self::default()
        };
        Next::Done(class)
    }

    /// Passes over `n` bytes that were not seen; false when they are not all of one value.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        let inside = self.line == 0 && n < self.value;
        if inside {
            self.value -= n;
        }
        inside
    }
}

fn line_class(word: &[u8]) -> Option<Classes> {
    // What `lru_crawler metadump` and `mgdump` list.
    if word.starts_with(b"key=") || word == b"mg" {
        return Some(class::STAT);
    }
    class::of(word)
}

/// The length of a value, with the end of its line.
fn length(word: &[u8]) -> Option<u64> {
    let len: u64 = std::str::from_utf8(word).ok()?.parse().ok()?;
    len.checked_add(2)
}
