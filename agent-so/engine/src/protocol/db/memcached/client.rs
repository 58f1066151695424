//! What a client says: commands, and which of them are told of together.

use super::command::{self, Command};
use super::{Entry, Machine, PENDING, Syntax, binary, class};
use crate::exchange::{Fault, Field, QUERY_MAX};
use crate::protocol::{ExchangeId, Host};

impl Machine {
    /// Reads on in what a client says in text. Returns how many bytes that took.
    pub(super) fn text_command<H: Host>(&mut self, rest: &[u8], now: u64, host: &mut H) -> usize {
        let Syntax::Text(commands, _) = &mut self.syntax else {
            return rest.len();
        };
        let begins = commands.is_between();
        let (used, next) = commands.next(rest);
        let command = commands.command();
        if begins {
            self.command_begins(now, host);
        }
        match next {
            command::Next::Line | command::Next::Done(true) => self.show(&rest[..used], host),
            command::Next::Value | command::Next::Done(false) => {}
            command::Next::Bad => {
                self.show(&rest[..used], host);
                self.conclude(Fault::None, now, host);
                return used;
            }
        }
        if matches!(next, command::Next::Done(_)) {
            self.command_done(command, false, now, host);
        }
        used
    }

    /// Reads on in what a client says in packets. Returns how many bytes that took.
    pub(super) fn packet<H: Host>(&mut self, rest: &[u8], now: u64, host: &mut H) -> usize {
        let Syntax::Binary(packets, _) = &mut self.syntax else {
            return rest.len();
        };
        let begins = packets.is_between();
        let (used, next) = packets.next(rest);
        let header = packets.header();
        let complete = packets.complete();
        if begins {
            self.command_begins(now, host);
        }
        match next {
            binary::Next::Header => {
                self.show(header.name().as_bytes(), host);
                self.show(if header.key > 0 { b" " } else { b"" }, host);
            }
            // What SASL says must not be shown; its key is the name of the mechanism.
            binary::Next::Key => self.show_key(&rest[..used], host),
            binary::Next::More => {}
            binary::Next::Bad => {
                self.conclude(Fault::None, now, host);
                return used;
            }
        }
        if complete {
            self.show(b"\r\n", host);
            let quiet = header.is_quiet();
            let command = Command {
                answers: class::OTHER,
                shows: quiet.then_some(class::OTHER),
                is_store: quiet && !header.is_get(),
                is_barrier: header.opcode == binary::NOOP,
                ends: header.is_quit(),
                is_proof: false,
                silent: false,
            };
            self.command_done(command, header.sets_up(), now, host);
        }
        used
    }

    /// The first byte of a command passes.
    fn command_begins<H: Host>(&mut self, now: u64, host: &mut H) {
        self.session.connect_begins(now, host);
        self.is_first = !self.joins;
        if !self.is_first {
            self.open = self.pending.newest().map_or(ExchangeId(0), |e| e.id);
            return;
        }
        self.open = self.session.open(now, host);
        if self.open != ExchangeId(0) {
            // The last text: more commands may follow.
            host.exchange(self.open).begin(Field::Query);
        }
    }

    fn show<H: Host>(&self, bytes: &[u8], host: &mut H) {
        if self.open != ExchangeId(0) {
            host.exchange(self.open)
                .append(Field::Query, bytes, QUERY_MAX);
        }
    }

    /// Shows a key, which may have any bytes in it.
    fn show_key<H: Host>(&self, key: &[u8], host: &mut H) {
        for piece in key.chunk_by(|a, b| a.is_ascii_graphic() && b.is_ascii_graphic()) {
            let plain = piece[0].is_ascii_graphic();
            self.show(if plain { piece } else { b"?" }, host);
        }
    }

    fn command_done<H: Host>(&mut self, command: Command, sets_up: bool, now: u64, host: &mut H) {
        let open = std::mem::take(&mut self.open);
        if sets_up || command.ends {
            // It stands for itself, and is not told of.
            self.discard(open, host);
            if command.ends {
                self.drop_answered(now, host);
                if self.pending.is_empty() {
                    self.conclude(Fault::None, now, host);
                }
                return;
            }
        }
        self.proven |= command.is_proof;
        self.setting_up &= sets_up;
        self.prove(host);
        let certain = !command.silent && command.shows.is_none();
        if self.is_first {
            let entry = Entry {
                id: if sets_up { ExchangeId(0) } else { open },
                sets_up,
                ..Entry::default()
            };
            if self.pending.len() < PENDING - 1 {
                self.pending.push(entry);
                if entry.id != ExchangeId(0) {
                    host.request_head(entry.id);
                }
            } else {
                // The last place is for all that found none.
                self.discard(entry.id, host);
                self.pending.push(Entry::default());
            }
        }
        let Some(newest) = self.pending.newest() else {
            return;
        };
        if open != ExchangeId(0) && newest.id == open && !(command.is_barrier && newest.waits) {
            let batch = &mut host.exchange(open).db.batch;
            *batch = batch.saturating_add(1);
        }
        newest.answers = newest.answers.saturating_add(u32::from(certain));
        if certain {
            newest.classes |= command.answers;
        }
        newest.shows |= command.shows.unwrap_or_default();
        newest.waits = command.shows.is_some() && !command.is_store || newest.waits && !certain;
        self.joins = !sets_up;
    }
}
