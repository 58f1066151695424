//! What the server answers.

use super::answer::{self, Said};
use super::flight::Purpose;
use super::frame;
use super::request::{KEYSPACE_OF, preparing};
use super::{Machine, Phase};
use crate::exchange::{Fault, Field};
use crate::inflate::Method;
use crate::protocol::db::name::Name;
use crate::protocol::wide::WideId;
use crate::protocol::{ExchangeId, Host};

/// The error that a server answers to a version that it does not speak.
const PROTOCOL_ERROR: u32 = 0x0a;

impl Machine {
    /// Reads frames of the server up to the end of one at most. Returns how many bytes that took.
    pub(super) fn read_answer<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) -> usize {
        let mut used = 0;
        if !self.answers.inside {
            let (taken, complete) = self.answers.take(bytes);
            used = taken;
            let header = self.answers.frame;
            let version = header.version & !frame::ANSWER;
            let fits = header.is_answer()
                && (version == self.version || header.opcode == frame::ERROR)
                && match self.phase {
                    Phase::Unproven => matches!(header.opcode, frame::SUPPORTED | frame::ERROR),
                    _ => true,
                };
            match complete {
                None => return used,
                Some(true) if fits => self.answer.begin(header),
                Some(_) => {
                    self.conclude(Fault::None, now, host);
                    return used;
                }
            }
        }
        let (taken, next) = self.answer.next(&bytes[used..]);
        match next {
            answer::Next::More => {}
            answer::Next::Done => {
                self.answers.inside = false;
                self.answered(now, host);
            }
            answer::Next::Bad => self.conclude(Fault::None, now, host),
        }
        used + taken
    }

    /// An answer is complete.
    fn answered<H: Host>(&mut self, now: u64, host: &mut H) {
        let opcode = self.answer.opcode;
        if self.phase == Phase::Unproven {
            self.proven(now, host);
        }
        if self.phase == Phase::Opening {
            return self.opens(opcode, now, host);
        }
        let stream = self.answers.frame.stream;
        if opcode == frame::EVENT || self.wide == WideId(0) {
            return;
        }
        let Some(entry) = host.wide_mut(self.wide).flight.remove(stream) else {
            // To what was not followed.
            return;
        };
        match self.answer.said {
            Said::Keyspace => self.keyspace = Name::of(self.answer.keyspace()),
            Said::Prepared(key) => {
                let texts = &mut host.wide_mut(self.wide).texts;
                texts.rename(preparing(stream), key);
                texts.rename(preparing(stream) | KEYSPACE_OF, key | KEYSPACE_OF);
            }
            _ => {}
        }
        if entry.purpose == Purpose::SetUp {
            self.setting_up -= 1;
            self.session.connected_ns = now;
            if let (Said::Error(code), Some(id)) = (self.answer.said, self.session.connecting()) {
                host.exchange(id).set_number(Field::Code, code.into());
            }
            if self.setting_up == 0 && (self.phase == Phase::Open || self.is_watching) {
                self.enter(host);
            }
        }
        if entry.id == ExchangeId(0) {
            return;
        }
        if self.newest == entry.id {
            self.newest = ExchangeId(0);
        }
        let failed = opcode == frame::ERROR;
        if entry.purpose == Purpose::Prepare && !failed {
            return host.discard(entry.id);
        }
        let mut fault = Fault::None;
        match self.answer.said {
            Said::Rows(rows) => {
                let exchange = host.exchange(entry.id);
                exchange.db.rows = rows.into();
                exchange.db.has_rows = true;
            }
            Said::Error(code) => host.exchange(entry.id).set_number(Field::Code, code.into()),
            // Its code is compressed.
            _ if failed => fault = Fault::Other,
            _ => {}
        }
        self.session.finish(entry.id, fault, now, host);
    }

    /// An answer to the client that wants to be let in.
    fn opens<H: Host>(&mut self, opcode: u8, now: u64, host: &mut H) {
        self.session.connected_ns = now;
        match opcode {
            frame::READY | frame::AUTH_SUCCESS => self.phase = Phase::SettingUp,
            frame::ERROR => {
                let other = self.answers.frame.version & !frame::ANSWER != self.version;
                let code = match self.answer.said {
                    Said::Error(code) => code,
                    _ => 0,
                };
                // A version that is not spoken here is no failure: the client asks for a lower one.
                if let Some(id) = self.session.connecting()
                    && !(code == PROTOCOL_ERROR && other)
                {
                    host.exchange(id).set_number(Field::Code, code.into());
                }
                return self.conclude(Fault::None, now, host);
            }
            frame::SUPPORTED | frame::AUTHENTICATE | frame::AUTH_CHALLENGE => {}
            _ => return self.conclude(Fault::None, now, host),
        }
        let begins = matches!(opcode, frame::READY | frame::AUTHENTICATE);
        if begins && self.version == frame::V5 {
            self.segments_begin(now, host);
        } else if begins && !self.requests.inside && self.requests.have == 0 {
            self.blocks_begin(host);
        }
    }

    /// Segments come from here on, compressed where the client has asked for that.
    fn segments_begin<H: Host>(&mut self, now: u64, host: &mut H) {
        if self.requests.segments.on {
            return;
        }
        let packs = self.request.compresses;
        if packs && (self.request.method != Method::Lz4 || !self.has_wide(host)) {
            // Whatever follows cannot be read.
            return self.conclude(Fault::None, now, host);
        }
        for side in [&mut self.requests, &mut self.answers] {
            (side.segments.on, side.segments.packs) = (true, packs);
        }
    }

    /// Bodies may be compressed from here on. Without memory for that they are not read.
    fn blocks_begin<H: Host>(&mut self, host: &mut H) {
        let method = self.request.method;
        if self.method == Method::Plain && method != Method::Plain && self.has_wide(host) {
            host.wide_mut(self.wide).frames = Default::default();
            self.method = method;
        }
    }
}
