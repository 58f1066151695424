//! Blocks of LZ4: <https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>.

use super::block::{Number, Run};
use super::window::Output;

/// A length that goes on in the next byte, of a token's and of those behind it.
const LONG: u32 = 15;
const MORE: u8 = 255;
/// Shortest repetition.
const SHORTEST: u32 = 4;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    #[default]
    Token = 0,
    LiteralLength,
    Literals,
    /// How far back a repetition is. The block may be over instead.
    Distance,
    CopyLength,
    Copy,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lz4 {
    stage: Stage,
    token: u8,
    distance: Number,
    run: Run,
}

impl Lz4 {
    pub(super) fn is_whole(&self) -> bool {
        self.stage == Stage::Distance && self.distance.is_empty()
    }

    pub(super) fn read(&mut self, input: &[u8], output: &mut Output) -> Option<usize> {
        let mut used = 0;
        loop {
            if matches!(self.stage, Stage::Literals | Stage::Copy) {
                let (taken, done) = self.run.read(&input[used..], output)?;
                used += taken;
                if !done {
                    return Some(used);
                }
                self.stage = match self.stage {
                    Stage::Literals => Stage::Distance,
                    _ => Stage::Token,
                };
            }
            let Some(byte) = input.get(used) else {
                return Some(used);
            };
            used += 1;
            match self.stage {
                Stage::LiteralLength => {
                    self.run.literal = self.run.literal.saturating_add((*byte).into());
                    if self.run.literal > output.left() {
                        return None;
                    }
                    if *byte != MORE {
                        self.stage = Stage::Literals;
                    }
                }
                Stage::Distance => {
                    if let Some(distance) = self.distance.push(*byte, 2) {
                        let len = u32::from(self.token & 15);
                        self.run.distance = distance;
                        self.run.copy = len + SHORTEST;
                        self.stage = if len == LONG {
                            Stage::CopyLength
                        } else {
                            Stage::Copy
                        };
                    }
                }
                Stage::CopyLength => {
                    self.run.copy = self.run.copy.saturating_add((*byte).into());
                    if self.run.copy > output.left() {
                        return None;
                    }
                    if *byte != MORE {
                        self.stage = Stage::Copy;
                    }
                }
                Stage::Token | Stage::Literals | Stage::Copy => {
                    self.token = *byte;
                    self.run.literal = u32::from(*byte >> 4);
                    self.stage = if self.run.literal == LONG {
                        Stage::LiteralLength
                    } else {
                        Stage::Literals
                    };
                }
            }
        }
    }
}
