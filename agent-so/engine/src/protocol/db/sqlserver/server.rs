//! What the server answers.

use super::answer::Told;
use super::client::PREPARING;
use super::opening::Prelogin;
use super::packets::kind;
use super::text::Utf16;
use super::{Machine, Phase};
use crate::exchange::{Fault, Field};
use crate::protocol::db::name::Name;
use crate::protocol::wide::WideId;
use crate::protocol::{ExchangeId, Host};

impl Machine {
    pub(super) fn receiving_begins(&mut self, what: u8) -> bool {
        self.is_read = false;
        match (what, self.phase) {
            (kind::ANSWER, Phase::Asked) => self.terms = Prelogin::default(),
            // The server's side of TLS.
            (kind::ANSWER | kind::PRELOGIN, Phase::Handshake) => {}
            (kind::PRELOGIN, Phase::Login) => return self.hides_login,
            (kind::ANSWER, Phase::Login) => {
                self.is_read = true;
                self.answer.begin();
            }
            (kind::ANSWER, Phase::Ready) if self.is_asked || self.is_stopping => {
                self.is_read = true;
                self.answer.begin();
            }
            _ => return false,
        }
        true
    }

    /// A piece of a message.
    pub(super) fn receiving<H: Host>(&mut self, bytes: &[u8], host: &mut H) {
        if self.phase == Phase::Asked {
            // The server's own name is not told there.
            return self.terms.push(bytes, &mut Name::default());
        }
        let mut rest = bytes;
        while self.is_read {
            let (used, told) = self.answer.next(rest);
            rest = &rest[used..];
            match told {
                Told::More => return,
                Told::Error(number) => self.failed(number, host),
                Told::Login(_) => self.is_accepted = true,
                Told::DatabaseBegins => {
                    self.database = Name::default();
                    self.letters = Utf16::default();
                }
                Told::Database(piece) => {
                    let database = &mut self.database;
                    self.letters.push(piece, &mut |text| database.push(text));
                }
                Told::Returned(0, number) if self.calls.prepare == 1 => {
                    self.calls.prepare = 0;
                    if self.wide != WideId(0) {
                        let texts = &mut host.wide_mut(self.wide).texts;
                        texts.rename(PREPARING, number.into());
                    }
                }
                Told::Returned(..) => {}
            }
        }
    }

    /// There was an error: the first one is the cause of the others.
    fn failed<H: Host>(&mut self, number: u32, host: &mut H) {
        let id = match self.phase {
            Phase::Login => self.session.connecting().unwrap_or_default(),
            _ => self.open,
        };
        if !std::mem::replace(&mut self.has_error, true) && id != ExchangeId(0) {
            host.exchange(id).set_number(Field::Code, number.into());
        }
    }

    /// A message is complete.
    pub(super) fn received<H: Host>(&mut self, now: u64, host: &mut H) -> bool {
        if self.phase == Phase::Asked {
            self.agree();
        }
        if !self.is_read {
            return true;
        }
        let Some(outcome) = self.answer.outcome() else {
            return false;
        };
        if self.phase == Phase::Login {
            return self.login_answered(outcome.failed, now, host);
        }
        if self.open != ExchangeId(0)
            && let Some(rows) = outcome.rows
        {
            let db = &mut host.exchange(self.open).db;
            db.rows = rows;
            db.has_rows = true;
        }
        // Answered or not: the client does not want it any more. That it stopped may be said in the same message or the next one.
        let is_given_up = self.is_stopping;
        self.is_stopping &= !outcome.is_attention;
        if self.is_asked {
            let fault = match outcome.failed || is_given_up {
                true => Fault::Other,
                false => Fault::None,
            };
            self.end_request(fault, now, host);
        }
        true
    }

    fn login_answered<H: Host>(&mut self, failed: bool, now: u64, host: &mut H) -> bool {
        if failed {
            if let Some(id) = self.session.connecting() {
                self.name_database(id, host);
                let has_code = host.exchange(id).text(Field::Code).is_some();
                let fault = if has_code { Fault::None } else { Fault::Other };
                self.session.connect_failed(fault, now, host);
            }
            return false;
        }
        if self.is_accepted {
            if let Some(id) = self.session.connecting() {
                self.name_database(id, host);
            }
            self.session.connect_done(now, host);
            self.home = self.database;
            self.has_error = false;
            self.phase = Phase::Ready;
        }
        true
    }
}
