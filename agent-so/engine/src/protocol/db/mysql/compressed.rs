//! Compressed connections: what passes is cut anywhere into packets of their own, each compressed where that is worth it.

use super::Machine;
use crate::exchange::Fault;
use crate::inflate::Method;
use crate::protocol::Host;
use crate::protocol::db::unpack::unpack;

/// Three bytes of length, one that counts, three of the length once it is readable (zero: it is).
const HEAD: usize = 7;

/// The packets of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::protocol) struct Compressed {
    head: [u8; HEAD],
    have: u8,
    /// Bytes to come of the packet.
    left: u32,
}

impl Compressed {
    /// Takes bytes of a head. Returns how many, and whether it is complete now.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let have = usize::from(self.have);
        let taken = bytes.len().min(HEAD - have);
        self.head[have..have + taken].copy_from_slice(&bytes[..taken]);
        self.have += taken as u8;
        let complete = usize::from(self.have) == HEAD;
        if complete {
            self.left = u32::from_le_bytes([self.head[0], self.head[1], self.head[2], 0]);
        }
        (taken, complete)
    }

    /// Length of the packet once it is readable; zero: it is.
    fn size(&self) -> u32 {
        u32::from_le_bytes([self.head[4], self.head[5], self.head[6], 0])
    }
}

impl Machine {
    /// Reads packets that are in compressed ones.
    pub(super) fn unpack<H: Host>(&mut self, clients: bool, bytes: &[u8], now: u64, host: &mut H) {
        let side = usize::from(clients);
        let mut rest = bytes;
        while !rest.is_empty() && self.reads(clients) {
            let Some(wide) = self.wide else {
                return self.conclude(Fault::None, now, host);
            };
            let memory = host.wide_mut(wide);
            let packet = &mut memory.packets[side];
            if usize::from(packet.have) < HEAD {
                let (taken, complete) = packet.take(rest);
                rest = &rest[taken..];
                if !complete {
                    return;
                }
                if packet.left == 0 {
                    return self.conclude(Fault::None, now, host);
                }
                memory.inflate[side].begin(Method::Zlib, packet.size());
                continue;
            }
            let size = packet.size();
            let (part, later) = rest.split_at(rest.len().min(packet.left as usize));
            packet.left -= part.len() as u32;
            let is_last = packet.left == 0;
            if is_last {
                packet.have = 0;
            }
            rest = later;
            if size == 0 {
                self.read(clients, part, now, host);
            } else if !self.inflate(clients, part, is_last, now, host) {
                return self.conclude(Fault::None, now, host);
            }
        }
    }

    /// Reads packets in a part of a compressed one, which may be its last. False: it is not compressed like that.
    fn inflate<H: Host>(
        &mut self,
        clients: bool,
        part: &[u8],
        is_last: bool,
        now: u64,
        host: &mut H,
    ) -> bool {
        let Some(wide) = self.wide else {
            return true;
        };
        unpack(wide, clients, part, is_last, host, |piece, host| {
            self.read(clients, piece, now, host);
            self.reads(clients)
        })
    }
}
