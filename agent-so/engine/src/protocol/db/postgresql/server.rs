//! What servers send.

use super::frame::Part;
use super::opening::{Request, keep};
use super::queue::Kind as What;
use super::{CODE, Machine, Phase};
use crate::exchange::{Fault, Field, VALUE_MAX};
use crate::protocol::{ExchangeId, Host};
use crate::sql::Backslash;

/// The setting that says what a backslash means.
const SETTING: &[u8] = b"standard_conforming_strings";

/// The message under way, and what the ones before it have brought for the oldest statement.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer {
    /// The front of its first string.
    word: [u8; 28],
    word_len: u8,
    /// Strings that are complete.
    strings: u8,
    /// The field under way of an error; 0: the next byte says which one.
    field: u8,
    code: [u8; CODE],
    code_len: u8,
    /// It is that setting, and its value begins with this.
    value: u8,
    /// There is an answer in rows, of so many so far.
    has_rows: bool,
    rows: u64,
}

impl Answer {
    /// How many rows there were for the oldest statement, and whether rows are its answer. The next one begins anew.
    pub(super) fn rows(&mut self) -> (u64, bool) {
        (
            std::mem::take(&mut self.rows),
            std::mem::take(&mut self.has_rows),
        )
    }

    fn word(&self) -> &[u8] {
        &self.word[..usize::from(self.word_len)]
    }
}

impl Machine {
    pub(super) fn feed_server<H: Host>(&mut self, bytes: &[u8], now: u64, host: &mut H) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.session.over && self.tls.is_none() {
            match self.phase {
                Phase::Opening | Phase::Cancels => return self.conclude(Fault::None, now, host),
                Phase::Asked(request) => {
                    let first = rest[0];
                    if first == b'E' {
                        // A server that knows nothing of encryption.
                        self.session.connect_begins(now, host);
                        self.phase = Phase::Entering;
                        continue;
                    }
                    rest = &rest[1..];
                    match (first, request) {
                        (b'S', Request::Tls) => self.tls = Some(rest.len()),
                        (b'N', _) => {
                            self.refused |= request == Request::Tls;
                            self.phase = Phase::Opening;
                        }
                        _ => {
                            self.phase = Phase::Cancels;
                            self.conclude(Fault::None, now, host);
                        }
                    }
                    continue;
                }
                Phase::Entering | Phase::Ready => {}
            }
            let (used, part) = self.received.next(rest, true);
            let piece = &rest[..used];
            rest = &rest[used..];
            match part {
                Part::More => return,
                Part::Bad => return self.conclude(Fault::None, now, host),
                Part::Head => self.answer_begins(now, host),
                Part::Body => self.answer_goes_on(piece),
            }
            if self.received.is_done() && !self.session.over {
                self.answer_done(now, host);
            }
        }
    }

    fn answer_begins<H: Host>(&mut self, now: u64, host: &mut H) {
        let left = self.received.left();
        let fits = match self.received.kind {
            b'R' | b'v' => self.phase == Phase::Entering,
            b'E' | b'N' | b'S' | b'K' | b'A' => true,
            b'Z' => left == 1,
            _ if self.phase != Phase::Ready => false,
            b'1' | b'2' | b'3' | b'n' | b'I' | b's' | b'c' => left == 0,
            b'C' | b'T' | b't' | b'D' | b'd' | b'G' | b'H' | b'W' | b'V' => true,
            _ => false,
        };
        if !fits {
            return self.conclude(Fault::None, now, host);
        }
        self.answer = Answer {
            rows: self.answer.rows,
            has_rows: self.answer.has_rows,
            ..Answer::default()
        };
    }

    /// Part of the body of a message passes.
    fn answer_goes_on(&mut self, piece: &[u8]) {
        let answer = &mut self.answer;
        if !matches!(self.received.kind, b'C' | b'S' | b'E') {
            return;
        }
        for byte in piece {
            match (self.received.kind, *byte) {
                (b'E', 0) => answer.field = 0,
                (b'E', field) if answer.field == 0 => answer.field = field,
                (b'E', _) if answer.field != b'C' => {}
                (b'E', _) => keep(&mut answer.code, &mut answer.code_len, &[*byte]),
                (_, 0) => answer.strings = answer.strings.saturating_add(1),
                (_, byte) if answer.strings == 0 => {
                    keep(&mut answer.word, &mut answer.word_len, &[byte]);
                }
                (b'S', byte) if answer.strings == 1 && answer.word() == SETTING => {
                    // `on` or `off`.
                    answer.value = byte;
                }
                _ => {}
            }
        }
    }

    fn answer_done<H: Host>(&mut self, now: u64, host: &mut H) {
        match self.received.kind {
            b'S' => match self.answer.value {
                b'n' => self.backslash = Backslash::Plain,
                b'f' => self.backslash = Backslash::Escape,
                _ => {}
            },
            b'E' => self.failed(now, host),
            b'T' => {
                let kind = self.queue.oldest().map(|oldest| oldest.kind);
                // What is described for its own sake has none.
                self.answer.has_rows |= matches!(kind, Some(What::Simple | What::Execute));
            }
            b'D' => {
                self.answer.has_rows = true;
                self.answer.rows = self.answer.rows.saturating_add(1);
            }
            b'1' => {
                if let Some(oldest) = self.queue.oldest()
                    && oldest.kind == What::Prepare
                {
                    // Prepared: that is all.
                    super::discard(std::mem::take(&mut oldest.id), host);
                    oldest.kind = What::Sync;
                    if !oldest.synced {
                        self.queue.pop();
                    }
                }
            }
            b'G' => {
                let asked = &self.asked;
                if let Some(oldest) = self.queue.oldest()
                    && !asked.has_copied
                {
                    self.copying = true;
                    // That the client has asked for it already is overlooked.
                    oldest.synced &= oldest.kind != What::Execute;
                }
            }
            b'W' => self.conclude(Fault::None, now, host),
            b'C' | b'I' | b's' => self.statement_done(now, host),
            b'Z' if self.phase == Phase::Ready => self.ready(now, host),
            b'Z' => {
                self.phase = Phase::Ready;
                self.entered(Fault::None, now, host);
                if self.parameters.replicates {
                    self.conclude(Fault::None, now, host);
                }
            }
            _ => {}
        }
    }

    /// The server tells of the end of a statement, or of as much of it as was asked for.
    fn statement_done<H: Host>(&mut self, now: u64, host: &mut H) {
        let is_selection = [&b"SELECT"[..], b"FETCH"]
            .iter()
            .any(|word| self.answer.word().starts_with(word));
        self.answer.has_rows |= self.received.kind == b's' || is_selection;
        self.copying = false;
        match self.queue.oldest() {
            Some(entry) if matches!(entry.kind, What::Simple | What::Counted) => {}
            Some(entry) if entry.kind == What::Execute && entry.left > 0 => {
                entry.left -= 1;
                // The server may still fail as it makes it lasting.
                if entry.left == 0 && !entry.synced {
                    let entry = *entry;
                    self.queue.pop();
                    self.finish(entry, Fault::None, now, host);
                }
            }
            _ => self.conclude(Fault::None, now, host),
        }
    }

    fn failed<H: Host>(&mut self, now: u64, host: &mut H) {
        let answer = &self.answer;
        let code = &answer.code[..usize::from(answer.code_len)];
        self.copying = false;
        if self.phase == Phase::Entering {
            if let Some(id) = self.session.connecting() {
                host.exchange(id).set(Field::Code, code, VALUE_MAX);
            }
            return self.conclude(Fault::Other, now, host);
        }
        let Some(oldest) = self.queue.oldest() else {
            if self.asked.is_under_way() {
                self.asked.early = answer.code;
            }
            return;
        };
        if oldest.id != ExchangeId(0) {
            let exchange = host.exchange(oldest.id);
            if exchange.text(Field::Code).is_none() {
                exchange.set(Field::Code, code, VALUE_MAX);
            }
        }
        let is_waiting = match oldest.kind {
            What::Execute => oldest.left > 0,
            What::Prepare => true,
            _ => false,
        };
        if is_waiting {
            let entry = *oldest;
            oldest.id = ExchangeId(0);
            oldest.kind = What::Failed;
            self.finish(entry, Fault::None, now, host);
        }
    }

    /// The server is ready: what was sent before it was asked to say so is over.
    fn ready<H: Host>(&mut self, now: u64, host: &mut H) {
        let mut fault = Fault::None;
        self.copying = false;
        loop {
            let Some(oldest) = self.queue.oldest().copied() else {
                // Nobody has asked.
                return self.conclude(Fault::None, now, host);
            };
            if oldest.kind == What::Counted {
                self.answer.rows();
                if self.queue.counted() {
                    self.queue.pop();
                }
                return;
            }
            self.queue.pop();
            self.finish(oldest, fault, now, host);
            if oldest.kind == What::Failed {
                fault = Fault::Other;
            }
            if oldest.synced {
                return;
            }
        }
    }
}
