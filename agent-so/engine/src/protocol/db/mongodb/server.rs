//! What the server answers.

use super::bson::{Event, Want};
use super::message::Next;
use super::{Body, Entry, Inside, Machine, Purpose};
use crate::exchange::{Fault, Field};
use crate::protocol::{ExchangeId, Host};

impl Machine {
    /// Reads messages of the server up to the next thing to tell. Returns how many bytes that took.
    pub(super) fn read_answer<H: Host>(&mut self, rest: &[u8], now: u64, host: &mut H) -> usize {
        if self.answers.is_between() {
            self.answered = Body::default();
        }
        let (used, next) = self.answers.next(rest);
        match next {
            Next::More => {}
            Next::Body(Event::Element) => self.told(),
            Next::Body(Event::Number(number)) => self.counted(number),
            Next::Body(_) => {}
            Next::Done => self.answer_done(now, host),
            Next::Bad => self.conclude(Fault::None, now, host),
        }
        used
    }

    /// An element of an answer begins.
    fn told(&mut self) {
        let answered = &mut self.answered;
        let body = &mut self.answers.body;
        let inside = match body.name() {
            b"writeErrors" => Inside::Errors,
            b"writeConcernError" => Inside::Concern,
            b"cursor" => Inside::Cursor,
            _ => Inside::Nothing,
        };
        let want = match (body.level(), answered.inside) {
            (0, _) => {
                answered.inside = inside;
                match body.name() {
                    b"ok" | b"code" => Want::Number,
                    _ if inside != Inside::Nothing => Want::Inside,
                    _ => Want::Nothing,
                }
            }
            (1, Inside::Errors) if answered.code.is_none() => Want::Inside,
            (1, Inside::Concern) | (2, Inside::Errors) if body.name() == b"code" => Want::Number,
            (1, Inside::Cursor) if matches!(body.name(), b"firstBatch" | b"nextBatch") => {
                answered.has_rows = true;
                Want::Inside
            }
            (2, Inside::Cursor) => {
                answered.count = answered.count.saturating_add(1);
                Want::Nothing
            }
            _ => Want::Nothing,
        };
        body.want(want);
    }

    /// A number of an answer's.
    fn counted(&mut self, number: i64) {
        let body = &self.answers.body;
        match body.name() {
            b"ok" if body.level() == 0 => self.answered.failed = number == 0,
            b"code" => {
                // What went wrong with all of it comes first.
                let first = body.level() == 0 || self.answered.code.is_none();
                if first {
                    self.answered.code = Some(number);
                }
            }
            _ => {}
        }
    }

    fn answer_done<H: Host>(&mut self, now: u64, host: &mut H) {
        let (answers, next) = (self.answers.answers, self.answers.id);
        let more = self.answers.more_to_come();
        let Some(entry) = self.pending.find(|e| e.waits && e.request == answers) else {
            return;
        };
        let Entry { id, purpose, .. } = *entry;
        if more {
            // The next one answers this one.
            entry.request = next;
        } else {
            *entry = Entry::default();
        }
        self.drop_answered();
        let answered = self.answered;
        let failed = match purpose {
            Purpose::Proves => {
                self.set_up_ns = now;
                self.session.connected_ns = now;
                self.session.connecting().unwrap_or_default()
            }
            Purpose::Greets => {
                if !self.used {
                    self.set_up_ns = now;
                }
                return;
            }
            Purpose::Query | Purpose::Tidies => id,
        };
        if failed == ExchangeId(0) {
            return;
        }
        let exchange = host.exchange(failed);
        if answered.has_rows {
            let rows = exchange.db.rows.saturating_add(answered.count.into());
            (exchange.db.rows, exchange.db.has_rows) = (rows, true);
        }
        let mut fault = Fault::None;
        if let Some(code) = answered.code {
            exchange.set_number(Field::Code, code);
        } else if answered.failed {
            fault = Fault::Other;
        }
        if purpose == Purpose::Proves {
            if answered.failed {
                self.session.connect_failed(fault, now, host);
            }
        } else if !more {
            self.session.finish(id, fault, now, host);
        }
    }
}
