//! What the client asks.

use super::bson::{Event, Want};
use super::message::{self, Next};
use super::{Body, Entry, Machine, Purpose};
use crate::db::mongodb::{is_command, names_collection};
use crate::exchange::{Fault, Field, VALUE_MAX};
use crate::protocol::{ExchangeId, Host};

fn purpose(name: &[u8]) -> Purpose {
    match name {
        b"hello" | b"isMaster" | b"ismaster" => Purpose::Greets,
        b"saslStart" | b"saslContinue" | b"authenticate" | b"getnonce" => Purpose::Proves,
        b"endSessions" => Purpose::Tidies,
        _ => Purpose::Query,
    }
}

impl Machine {
    /// Reads messages of the client up to the next thing to tell. Returns how many bytes that took.
    pub(super) fn read_request<H: Host>(&mut self, rest: &[u8], now: u64, host: &mut H) -> usize {
        if self.requests.is_between() {
            self.asked = Body::default();
        }
        let (used, next) = self.requests.next(rest);
        match next {
            Next::More => {}
            Next::Body(Event::Element) => {
                if !self.asked_for(host) {
                    self.conclude(Fault::None, now, host);
                }
            }
            Next::Body(Event::Text(len)) => {
                if let Some(field) = self.asked.field
                    && self.open != ExchangeId(0)
                {
                    host.exchange(self.open)
                        .append(field, &rest[used - len..used], VALUE_MAX);
                }
            }
            Next::Body(_) => {}
            Next::Done => self.request_done(now, host),
            Next::Bad => self.conclude(Fault::None, now, host),
        }
        used
    }

    /// An element of a command begins. False: there is none like it.
    fn asked_for<H: Host>(&mut self, host: &mut H) -> bool {
        let body = self.requests.body;
        let name = body.name();
        self.asked.field = None;
        if body.level() > 0 {
            self.asked.count = self.asked.count.saturating_add(1);
            return true;
        }
        if !self.asked.named {
            self.asked.named = true;
            // Of the old form only what sets a connection up is still in use.
            let is_old = self.requests.opcode != message::MSG;
            if !is_old && !is_command(name) {
                return false;
            }
            self.asked.purpose = match purpose(name) {
                Purpose::Query if is_old => Purpose::Tidies,
                purpose => purpose,
            };
            self.asked.is_more = name == b"getMore";
            if self.asked.purpose == Purpose::Query {
                self.begin(host);
                if self.open != ExchangeId(0) {
                    host.exchange(self.open)
                        .set(Field::Operation, name, VALUE_MAX);
                }
            }
            if names_collection(name) {
                self.text_for(Field::Collection, host);
            }
            return true;
        }
        match name {
            b"$db" => self.text_for(Field::Namespace, host),
            b"collection" if self.asked.is_more => self.text_for(Field::Collection, host),
            _ if message::is_work(name) => self.requests.body.want(Want::Inside),
            _ => {}
        }
        true
    }

    /// The text that comes is for `field`.
    fn text_for<H: Host>(&mut self, field: Field, host: &mut H) {
        if self.open != ExchangeId(0) && self.requests.body.is_text() {
            self.requests.body.want(Want::Text);
            self.asked.field = Some(field);
            host.exchange(self.open).begin(field);
        }
    }

    /// The connection is used for something: what made it is an exchange, and so is this request.
    fn begin<H: Host>(&mut self, host: &mut H) {
        self.connect_begins(host);
        self.session.connect_done(self.session.connected_ns, host);
        self.open = self.session.open(self.begun_ns, host);
    }

    fn connect_begins<H: Host>(&mut self, host: &mut H) {
        if std::mem::replace(&mut self.used, true) {
            return;
        }
        self.session.connect_begins(self.begun_ns, host);
        if self.set_up_ns > 0 {
            self.session.connected_ns = self.set_up_ns;
        }
    }

    fn request_done<H: Host>(&mut self, now: u64, host: &mut H) {
        let requests = &self.requests;
        let (request, silent) = (requests.id, requests.more_to_come());
        if requests.opcode == message::COMPRESSED {
            self.begin(host);
        } else if !self.asked.named {
            // Messages of old, or what was not seen.
            return;
        }
        if self.asked.purpose == Purpose::Proves {
            self.connect_begins(host);
        }
        let id = std::mem::take(&mut self.open);
        let batch = self.asked.count.max(self.requests.documents);
        if silent {
            if id != ExchangeId(0) {
                host.exchange(id).db.batch = batch;
                host.request_head(id);
            }
            return self.session.finish(id, Fault::None, now, host);
        }
        let entry = Entry {
            id,
            request,
            purpose: self.asked.purpose,
            waits: true,
        };
        self.drop_answered();
        let waits = self.pending.push(entry);
        if id == ExchangeId(0) {
            return;
        }
        if waits {
            host.exchange(id).db.batch = batch;
            host.request_head(id);
        } else {
            host.discard(id);
        }
    }
}
