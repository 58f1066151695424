//! Raw blocks of Snappy: <https://github.com/google/snappy/blob/main/format_description.txt>.

use super::block::{Number, Run};
use super::window::Output;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    /// The size of it all, seven bits a byte.
    #[default]
    Size = 0,
    Tag,
    /// What belongs to the tag.
    Argument,
    Run,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Snappy {
    stage: Stage,
    /// What the size has to be, and what was read of it.
    expected: u32,
    size: u64,
    shift: u8,
    tag: u8,
    wanted: u8,
    number: Number,
    run: Run,
}

impl Snappy {
    pub(super) fn new(expected: u32) -> Self {
        Self {
            expected,
            ..Self::default()
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.stage == Stage::Tag
    }

    pub(super) fn read(&mut self, input: &[u8], output: &mut Output) -> Option<usize> {
        let mut used = 0;
        loop {
            if self.stage == Stage::Run {
                let (taken, done) = self.run.read(&input[used..], output)?;
                used += taken;
                if !done {
                    return Some(used);
                }
                self.stage = Stage::Tag;
            }
            let Some(byte) = input.get(used) else {
                return Some(used);
            };
            used += 1;
            match self.stage {
                Stage::Size => {
                    self.size |= u64::from(byte & 0x7f) << self.shift;
                    self.shift += 7;
                    if byte & 0x80 == 0 {
                        if self.size != u64::from(self.expected) {
                            return None;
                        }
                        self.stage = Stage::Tag;
                    } else if self.shift > 28 {
                        return None;
                    }
                }
                Stage::Argument => {
                    if let Some(number) = self.number.push(*byte, self.wanted) {
                        self.argument(number)?;
                    }
                }
                Stage::Tag | Stage::Run => self.tag(*byte),
            }
        }
    }

    fn tag(&mut self, tag: u8) {
        self.tag = tag;
        self.stage = Stage::Argument;
        self.wanted = match (tag & 3, tag >> 2) {
            (0, len @ 0..60) => {
                self.run.literal = u32::from(len) + 1;
                self.stage = Stage::Run;
                return;
            }
            (0, bytes) => bytes - 59,
            (1, _) => 1,
            (2, _) => 2,
            _ => 4,
        };
    }

    fn argument(&mut self, number: u32) -> Option<()> {
        self.stage = Stage::Run;
        let len = u32::from(self.tag >> 2);
        match self.tag & 3 {
            0 => self.run.literal = number.checked_add(1)?,
            1 => {
                self.run.copy = (len & 7) + 4;
                self.run.distance = u32::from(self.tag >> 5) << 8 | number;
            }
            _ => {
                self.run.copy = len + 1;
                self.run.distance = number;
            }
        }
        Some(())
    }
}
