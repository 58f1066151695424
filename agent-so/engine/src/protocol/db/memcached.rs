//! memcached: its text protocol, with the meta commands, and its binary protocol.
//!
//! Commands that leave in one call are one exchange. Answers come in order; of commands that may be answered or not, those that
//! ask for values are over when a later one is answered, and those that store when they are sent, as those with `noreply`.
//! What SASL passes belongs to the making of the connection.
//!
//! A few lower-case words are no proof: a connection that begins with them is only believed once the server has answered
//! in kind, or a value has followed as it was announced. Until then nothing is told, and forgotten if it was wrong.

mod binary;
mod class;
mod client;
mod command;
mod reply;
mod server;
#[cfg(test)]
mod tests;

use super::ring::Ring;
use super::session::Session;
use crate::exchange::{Fault, Kind, System};
use crate::protocol::{Direction, Ended, ExchangeId, Host, Probe};
use binary::Packets;
use class::Classes;
use command::Commands;
pub(in crate::protocol) use command::begins as text_begins;
use reply::Replies;

/// Longest prefix of a direction that [`probe`] wants to see, bytes.
pub(in crate::protocol) const PREFIX_MAX: usize = 43;
/// How many exchanges may wait. Beyond that they are counted, not recorded.
const PENDING: usize = 16;

/// Judges the first bytes of both directions: the client begins, and the server has not said anything else before.
pub(in crate::protocol) fn probe(in_prefix: &[u8], out_prefix: &[u8]) -> Probe {
    let judged = |commands: &[u8], replies: &[u8]| match begins(commands) {
        Some(true) if !replies.is_empty() && !answers(replies) => None,
        other => other,
    };
    Probe::client_begins(judged(in_prefix, out_prefix), judged(out_prefix, in_prefix))
}

/// Whether these are the first bytes of a command; `None`: they are not even its beginning.
pub(in crate::protocol) fn begins(prefix: &[u8]) -> Option<bool> {
    let text = text_begins(prefix, prefix.len() >= PREFIX_MAX);
    match binary::begins(prefix) {
        Some(known) if text.is_none() || known => Some(known),
        _ => text,
    }
}

/// Whether a server can have begun so.
fn answers(prefix: &[u8]) -> bool {
    let end = prefix.iter().position(|b| matches!(b, b' ' | b'\r'));
    let class = end.and_then(|end| class::of(&prefix[..end]));
    prefix[0] == 0x81 || class.is_some_and(|class| class & (class::OTHER | class::NUMBER) == 0)
}

/// Commands that were sent together.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Zero when it is not recorded, or over.
    id: ExchangeId,
    /// Answers that will certainly come.
    answers: u32,
    /// What these can be.
    classes: Classes,
    /// What those can be that may come.
    shows: Classes,
    /// It is not over before something later is answered.
    waits: bool,
    /// It is part of the making of the connection.
    sets_up: bool,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(u8)]
enum Syntax {
    #[default]
    Unknown = 0,
    Text(Commands, Replies),
    Binary(Packets, Packets),
}

/// The state of one connection, seen from one of its ends.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::protocol) struct Machine {
    session: Session,
    syntax: Syntax,
    /// No other protocol can look like what was seen.
    proven: bool,
    /// Nothing but the setting up of the connection was seen so far.
    setting_up: bool,
    /// What is sent next may join the newest exchange: it leaves in the same call, or has to be waited for.
    joins: bool,
    /// The command being read is the first of its exchange.
    is_first: bool,
    /// The exchange of the command that is being read; zero when it is not recorded.
    open: ExchangeId,
    pending: Ring<Entry, PENDING>,
    /// What may still come back of commands that are over.
    stray: Classes,
}

impl Machine {
    /// Of a connection that begins; the machine is a fresh one.
    pub(super) fn take_on(&mut self, role: Kind) {
        self.session = Session::new(System::Memcached, role);
        self.setting_up = true;
    }

    pub(super) fn role(&self) -> Kind {
        self.session.role
    }

    pub(super) fn is_over(&self) -> bool {
        self.session.over
    }

    /// The oldest unfinished exchange.
    pub(super) fn open_exchange(&self) -> Option<ExchangeId> {
        let some = |id: &ExchangeId| *id != ExchangeId(0);
        let read = Some(self.open).filter(|id| self.is_first && some(id));
        let waiting = || self.pending.iter().map(|entry| entry.id).find(some);
        self.session.connecting().or_else(waiting).or(read)
    }

    /// What passes next does so in another call of the program's.
    pub(super) fn call_begins(&mut self) {
        self.joins = self.pending.newest().is_some_and(|newest| newest.waits);
    }

    /// All of a call has passed: what nobody waits for is over with it.
    pub(super) fn call_ends<H: Host>(&mut self, now: u64, host: &mut H) {
        let between = match &self.syntax {
            Syntax::Unknown => return,
            Syntax::Text(commands, _) => commands.is_between(),
            Syntax::Binary(packets, _) => packets.is_between(),
        };
        let Some(newest) = self.pending.newest() else {
            return;
        };
        if !between || newest.answers > 0 || newest.waits || !self.proven {
            return;
        }
        let id = std::mem::take(&mut newest.id);
        self.joins = false;
        self.session.finish(id, Fault::None, now, host);
        self.drop_answered(now, host);
    }

    #[inline(never)]
    pub(super) fn feed<H: Host>(&mut self, dir: Direction, bytes: &[u8], now: u64, host: &mut H) {
        let Some(first) = bytes.first() else { return };
        if matches!(self.syntax, Syntax::Unknown) {
            self.syntax = if first.is_ascii_lowercase() {
                Syntax::Text(Commands::default(), Replies::default())
            } else {
                Syntax::Binary(Packets::new(false), Packets::new(true))
            };
        }
        let asks = self.session.is_clients(dir);
        let mut rest = bytes;
        while !rest.is_empty() && !self.session.over {
            let used = match (&mut self.syntax, asks) {
                (Syntax::Unknown, _) => return,
                (Syntax::Text(..), true) => self.text_command(rest, now, host),
                (Syntax::Text(_, replies), false) => {
                    let (used, next) = replies.next(rest);
                    match next {
                        reply::Next::More => {}
                        reply::Next::Done(class) => {
                            let replies = *replies;
                            let code = (class == class::ERROR).then(|| replies.code());
                            self.answered(class, code, now, host);
                        }
                        reply::Next::Bad => self.conclude(Fault::None, now, host),
                    }
                    used
                }
                (Syntax::Binary(..), true) => self.packet(rest, now, host),
                (Syntax::Binary(_, packets), false) => {
                    let (used, next) = packets.next(rest);
                    if next == binary::Next::Bad {
                        self.conclude(Fault::None, now, host);
                    } else if packets.complete() {
                        let header = packets.header();
                        self.packet_answered(header, now, host);
                    }
                    used
                }
            };
            rest = &rest[used..];
        }
    }

    /// Passes over `n` bytes that were not seen.
    pub(super) fn skip<H: Host>(&mut self, dir: Direction, n: u64, now: u64, host: &mut H) {
        let counted = match (&mut self.syntax, self.session.role, dir) {
            (Syntax::Unknown, ..) => false,
            (Syntax::Text(commands, _), Kind::Client, Direction::Out)
            | (Syntax::Text(commands, _), Kind::Server, Direction::In) => commands.skip(n),
            (Syntax::Text(_, replies), ..) => replies.skip(n),
            (Syntax::Binary(packets, _), Kind::Client, Direction::Out)
            | (Syntax::Binary(packets, _), Kind::Server, Direction::In)
            | (Syntax::Binary(_, packets), ..) => packets.skip(n),
        };
        if !counted {
            self.conclude(Fault::None, now, host);
        }
    }

    pub(super) fn ended<H: Host>(&mut self, dir: Direction, how: Ended, now: u64, host: &mut H) {
        let between = match &self.syntax {
            Syntax::Unknown => true,
            Syntax::Text(_, replies) => replies.is_between(),
            Syntax::Binary(_, packets) => packets.is_between(),
        };
        if let Some(fault) = self.session.fault_of_end(dir, how, between) {
            self.conclude(fault, now, host);
        }
    }

    pub(super) fn close<H: Host>(&mut self, now: u64, host: &mut H) {
        self.conclude(Fault::None, now, host);
    }

    /// Removes the oldest, which is over. What is being sent cannot join it any more.
    fn pop(&mut self) {
        self.pending.pop();
        if self.pending.is_empty() {
            self.joins = false;
            if !self.is_first {
                self.is_first = true;
                self.open = ExchangeId(0);
            }
        }
    }

    /// Once it is certain what this is: the connection stands.
    fn prove<H: Host>(&mut self, host: &mut H) {
        let stands = !self.setting_up && !self.pending.iter().any(|entry| entry.sets_up);
        if self.proven && stands {
            self.session.connect_done(self.session.connected_ns, host);
        }
    }

    /// Commands that are over without an answer make way for those that are answered next.
    fn drop_answered<H: Host>(&mut self, now: u64, host: &mut H) {
        while self.proven
            && let Some(oldest) = self.pending.oldest()
            && oldest.answers == 0
            && !oldest.waits
        {
            let Entry { id, shows, .. } = *oldest;
            self.stray |= shows;
            self.pop();
            self.session.finish(id, Fault::None, now, host);
        }
    }

    fn discard<H: Host>(&mut self, id: ExchangeId, host: &mut H) {
        if id != ExchangeId(0) && self.is_first {
            host.discard(id);
        }
    }

    /// Nothing more will be seen: what is open ends here, or never was.
    fn conclude<H: Host>(&mut self, fault: Fault, now: u64, host: &mut H) {
        if std::mem::replace(&mut self.session.over, true) {
            return;
        }
        let open = std::mem::take(&mut self.open);
        self.discard(open, host);
        if !self.proven {
            self.session.connect_discarded(host);
        } else if self.setting_up {
            self.session.connect_failed(fault, now, host);
        } else {
            self.session.connect_done(self.session.connected_ns, host);
        }
        while let Some(entry) = self.pending.pop() {
            if self.proven {
                self.session.finish(entry.id, fault, now, host);
            } else if entry.id != ExchangeId(0) {
                host.discard(entry.id);
            }
        }
    }
}
