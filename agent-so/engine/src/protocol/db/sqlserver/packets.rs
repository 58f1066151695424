//! Packets of one side, read over any split: a header of eight bytes, then a part of a message. A message has one type and ends
//! with the packet that says so. Between packets there may be records of TLS, where only the login is encrypted.

const HEAD: usize = 8;
const RECORD_HEAD: usize = 5;

/// Bits of a packet's status.
const LAST: u8 = 1;
const IGNORE: u8 = 2;
const RESET: u8 = 0x08 | 0x10;

/// Types of messages.
pub(super) mod kind {
    pub(in super::super) const BATCH: u8 = 0x01;
    pub(in super::super) const RPC: u8 = 0x03;
    pub(in super::super) const ANSWER: u8 = 0x04;
    pub(in super::super) const ATTENTION: u8 = 0x06;
    pub(in super::super) const BULK: u8 = 0x07;
    pub(in super::super) const TOKEN: u8 = 0x08;
    pub(in super::super) const TRANSACTION: u8 = 0x0e;
    pub(in super::super) const LOGIN: u8 = 0x10;
    pub(in super::super) const SSPI: u8 = 0x11;
    pub(in super::super) const PRELOGIN: u8 = 0x12;
}
/// The type of a record with data.
pub(super) const RECORD_DATA: u8 = 0x17;

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// More are needed.
    None,
    /// A message of this type begins: the header of its first packet is complete.
    Begins(u8),
    Bytes(&'a [u8]),
    /// The message is complete.
    Ends,
    /// A record of TLS of this type, which is passed over.
    Record(u8),
    /// This is something else.
    Lost,
}

/// A reader of the packets of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Packets {
    head: [u8; HEAD],
    have: u8,
    /// In the payload of a packet, or record.
    is_inside: bool,
    is_record: bool,
    /// In a message, or between its packets.
    in_message: bool,
    /// Bytes of the payload to come.
    left: u16,
}

impl Packets {
    /// Whether the next byte begins a message.
    pub(super) fn is_between(&self) -> bool {
        !self.in_message && !self.is_inside && self.have == 0
    }

    /// The state of the session is to be made new before the message, of which the header was read last.
    pub(super) fn resets(&self) -> bool {
        self.head[1] & RESET != 0
    }

    /// The message that was complete last was given up by its sender.
    pub(super) fn is_ignored(&self) -> bool {
        self.head[1] & IGNORE != 0
    }

    /// Takes bytes of the next part. Returns how many.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Part<'a>) {
        let mut used = 0;
        loop {
            if self.is_inside {
                if self.left > 0 {
                    let take = (bytes.len() - used).min(self.left.into());
                    let part = &bytes[used..used + take];
                    self.left -= take as u16;
                    used += take;
                    if take == 0 {
                        return (used, Part::None);
                    }
                    if self.is_record {
                        continue;
                    }
                    return (used, Part::Bytes(part));
                }
                self.is_inside = false;
                self.have = 0;
                if !self.is_record && self.head[1] & LAST != 0 {
                    self.in_message = false;
                    return (used, Part::Ends);
                }
            }
            let Some(byte) = bytes.get(used) else {
                return (used, Part::None);
            };
            used += 1;
            if self.have == 0 {
                self.is_record = !self.in_message && matches!(*byte, 0x14..=RECORD_DATA);
            }
            let kind = self.head[0];
            self.head[usize::from(self.have)] = *byte;
            self.have += 1;
            if self.have == 1 && self.in_message && *byte != kind {
                return (used, Part::Lost);
            }
            if self.is_record && usize::from(self.have) == RECORD_HEAD {
                self.left = u16::from_be_bytes([self.head[3], self.head[4]]);
                self.is_inside = true;
                return (used, Part::Record(self.head[0]));
            }
            if usize::from(self.have) == HEAD {
                let length = u16::from_be_bytes([self.head[2], self.head[3]]);
                let Some(left) = length.checked_sub(HEAD as u16) else {
                    return (used, Part::Lost);
                };
                self.left = left;
                self.is_inside = true;
                if !std::mem::replace(&mut self.in_message, true) {
                    return (used, Part::Begins(self.head[0]));
                }
            }
        }
    }

    /// Passes over `n` bytes that were not seen; false when they are not all inside one packet.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        let is_inside = self.is_inside && n < self.left.into();
        if is_inside {
            self.left -= n as u16;
        }
        is_inside
    }
}
