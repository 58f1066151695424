//! What the client sends.

use super::answer::is_wide;
use super::opening::{Login, Prelogin, Wish};
use super::packets::{RECORD_DATA, kind};
use super::request::{Asks, Call, Request};
use super::{Calls, Machine, Phase, Sending};
use crate::exchange::{Fault, Field, QUERY_MAX, VALUE_MAX};
use crate::protocol::db::texts::{key_begins, key_goes_on, recall};
use crate::protocol::tls::{self, Hello};
use crate::protocol::wide::WideId;
use crate::protocol::{Direction, ExchangeId, Host};

/// Names the text of the statement of which the number is not known yet.
pub(super) const PREPARING: u64 = 1 << 32;
/// The space of the hashes by which texts are compared.
const SPACE: u8 = 0;

impl Machine {
    /// A message of the client begins; so many of the bytes fed are its first.
    pub(super) fn sending_begins<H: Host>(
        &mut self,
        what: u8,
        rest: usize,
        now: u64,
        host: &mut H,
    ) -> bool {
        self.sending = Sending::Other;
        match (what, self.phase) {
            (kind::PRELOGIN, Phase::Fresh) => {
                self.phase = Phase::Asked;
                self.sending = Sending::Prelogin(Prelogin::default());
            }
            (kind::PRELOGIN, Phase::Agreed) if self.hides_login => {
                self.session.connect_begins(now, host);
                self.phase = Phase::Handshake;
                self.sending = Sending::Hello([0; tls::PREFIX_MAX], 0);
            }
            (kind::PRELOGIN, Phase::Agreed) => {
                host.greeted(self.session.system);
                self.tls = u32::try_from(rest).ok();
            }
            (kind::PRELOGIN, Phase::Handshake) => {}
            (kind::LOGIN, Phase::Fresh | Phase::Agreed) => {
                self.session.connect_begins(now, host);
                self.phase = Phase::Login;
                self.sending = Sending::Login(Login::default());
            }
            // Of a long login some clients encrypt the first packet alone.
            (kind::LOGIN, Phase::Login) if self.hides_login => {}
            (kind::SSPI | kind::TOKEN, Phase::Login) => {}
            (kind::ATTENTION, Phase::Ready) => self.is_stopping = true,
            (kind::BATCH | kind::RPC | kind::BULK | kind::TRANSACTION, Phase::Ready) => {
                if self.is_ignored {
                    // There was no answer to what was given up.
                    self.end_request(Fault::Other, now, host);
                }
                if self.is_asked || self.is_stopping {
                    return false;
                }
                self.request_begins(what, now, host);
            }
            _ => return false,
        }
        true
    }

    fn request_begins<H: Host>(&mut self, what: u8, now: u64, host: &mut H) {
        if self.sent.resets() {
            self.database = self.home;
            if self.wide != WideId(0) {
                host.wide_mut(self.wide).texts.reset();
            }
        }
        let mut request = Request::default();
        request.begin(what, self.answer.is_wide);
        self.sending = Sending::Request(request);
        self.calls = Calls::default();
        self.has_error = false;
        self.is_told = false;
        self.is_quiet = false;
        self.open = self.session.open(now, host);
        if self.open == ExchangeId(0) {
            return;
        }
        self.name_database(self.open, host);
        let exchange = host.exchange(self.open);
        match what {
            // The last text: it may come in pieces.
            kind::BATCH => exchange.begin(Field::Query),
            kind::BULK => exchange.set(Field::Operation, b"INSERT BULK", VALUE_MAX),
            _ => {}
        }
    }

    /// A record of TLS: where it has data, that is the login.
    pub(super) fn record(&mut self, kind: u8) -> bool {
        let fits = self.hides_login && matches!(self.phase, Phase::Handshake | Phase::Login);
        if fits && kind == RECORD_DATA {
            self.phase = Phase::Login;
        }
        fits
    }

    /// A piece of a message.
    pub(super) fn sending<H: Host>(&mut self, bytes: &[u8], dir: Direction, host: &mut H) -> bool {
        match &mut self.sending {
            Sending::Other => {}
            Sending::Prelogin(prelogin) => prelogin.push(bytes, &mut self.instance),
            Sending::Login(login) => {
                login.push(bytes, &mut self.database, &mut self.instance);
            }
            Sending::Hello(prefix, len) => {
                let at = usize::from(*len);
                let take = bytes.len().min(prefix.len() - at);
                prefix[at..at + take].copy_from_slice(&bytes[..take]);
                *len += take as u8;
                match tls::hello(&prefix[..at + take]) {
                    Hello::Yes(random) => {
                        if let Some(random) = random {
                            host.tls_begins(dir, &random);
                        }
                        self.sending = Sending::Other;
                    }
                    Hello::No | Hello::Answer => return false,
                    Hello::More | Hello::Silence => {}
                }
            }
            Sending::Request(_) => self.asking(bytes, host),
        }
        true
    }

    fn asking<H: Host>(&mut self, bytes: &[u8], host: &mut H) {
        let mut rest = bytes;
        loop {
            let Sending::Request(request) = &mut self.sending else {
                return;
            };
            let (used, asks) = request.next(rest);
            rest = &rest[used..];
            let call = request.call;
            match asks {
                Asks::More => return,
                Asks::Text(piece) => {
                    let (calls, open, wide) = (&mut self.calls, self.open, self.wide);
                    request.decode(piece, &mut |text| {
                        calls.has_text = true;
                        calls.hash = key_goes_on(calls.hash, text);
                        if open != ExchangeId(0) && (calls.all == 0 || calls.is_written) {
                            host.exchange(open).append(Field::Query, text, QUERY_MAX);
                        }
                        if call.prepares && wide != WideId(0) {
                            host.wide_mut(wide).texts.append(text);
                        }
                    });
                }
                Asks::Call => {
                    let name = request.name;
                    self.call_ends(host);
                    self.call_begins(call, host);
                    if call.number == 0 {
                        self.says_name(name.text(), host);
                    }
                }
                Asks::Statement if call.prepares => {
                    if self.wide == WideId(0) {
                        self.wide = host.wide().unwrap_or_default();
                    }
                    if self.wide != WideId(0) {
                        host.wide_mut(self.wide).texts.begin(PREPARING);
                        self.calls.prepare = self.calls.prepare.saturating_add(1);
                    }
                }
                Asks::Statement => {}
                Asks::Number(number) if self.wide != WideId(0) => {
                    self.numbered(call, number.into(), host);
                }
                Asks::Number(_) => {}
                Asks::Transaction(what) => {
                    let operation: &[u8] = match what {
                        5 => b"BEGIN",
                        7 => b"COMMIT",
                        8 => b"ROLLBACK",
                        9 => b"SAVE",
                        _ => b"",
                    };
                    self.is_quiet = operation.is_empty();
                    if self.open != ExchangeId(0) && !self.is_quiet {
                        let exchange = host.exchange(self.open);
                        exchange.set(Field::Operation, operation, VALUE_MAX);
                    }
                }
            }
        }
    }

    /// One of the calls in a message begins. Its text is that of the exchange if it is the first that does something.
    fn call_begins<H: Host>(&mut self, call: Call, host: &mut H) {
        let calls = &mut self.calls;
        calls.all = calls.all.saturating_add(1);
        calls.count = calls.count.saturating_add(u32::from(!call.is_quiet));
        calls.call = call;
        calls.has_text = false;
        calls.hash = key_begins(SPACE);
        calls.is_written = match call.is_quiet {
            true => calls.all == 1,
            false => calls.count == 1,
        };
        if calls.is_written && self.open != ExchangeId(0) {
            host.exchange(self.open).begin(Field::Query);
        }
        self.is_quiet = self.calls.count == 0;
    }

    /// All of it was read.
    fn call_ends<H: Host>(&mut self, host: &mut H) {
        let call = self.calls.call;
        if self.calls.all == 0 {
            return;
        }
        if !self.calls.has_text {
            self.says_name(call.name().as_bytes(), host);
        }
        let calls = &mut self.calls;
        match calls.count {
            _ if call.is_quiet => {}
            1 => calls.first = calls.hash,
            _ => calls.differ |= calls.hash != calls.first,
        }
    }

    /// What is known of the call is the procedure's name.
    fn says_name<H: Host>(&mut self, name: &[u8], host: &mut H) {
        let calls = &mut self.calls;
        calls.has_text = true;
        calls.hash = key_goes_on(calls.hash, name);
        if calls.is_written && self.open != ExchangeId(0) {
            let exchange = host.exchange(self.open);
            if name.is_empty() {
                exchange.clear(Field::Query);
                exchange.set(Field::Operation, b"EXECUTE", VALUE_MAX);
            } else {
                exchange.append(Field::Query, b"EXECUTE ", QUERY_MAX);
                exchange.append(Field::Query, name, QUERY_MAX);
            }
        }
    }

    /// The call is about the statement with this number.
    fn numbered<H: Host>(&mut self, call: Call, key: u64, host: &mut H) {
        let texts = &mut host.wide_mut(self.wide).texts;
        if call.forgets {
            texts.remove(key);
        }
        if !call.recalls {
            return;
        }
        texts.renew(key);
        let Some(found) = texts.find(key) else {
            return;
        };
        self.calls.has_text = true;
        self.calls.hash = key_goes_on(self.calls.hash, found.text);
        if self.calls.is_written && self.open != ExchangeId(0) {
            recall(self.wide, key, self.open, host);
        }
    }

    /// A message is complete.
    pub(super) fn sending_ends<H: Host>(&mut self, host: &mut H) -> bool {
        match &self.sending {
            Sending::Prelogin(prelogin) => self.wish = prelogin.wish,
            Sending::Login(login) => {
                self.answer.is_wide = is_wide(login.version());
                if let Some(id) = self.session.connecting() {
                    self.name_database(id, host);
                }
            }
            // Cut into tiny messages.
            Sending::Hello(..) => return true,
            Sending::Request(request) => {
                if !request.is_whole() && !self.sent.is_ignored() {
                    return false;
                }
                self.call_ends(host);
                self.is_ignored = self.sent.is_ignored();
                self.is_asked = true;
                self.tell(host);
            }
            Sending::Other => {}
        }
        self.sending = Sending::Other;
        true
    }

    /// All is known of the request.
    fn tell<H: Host>(&mut self, host: &mut H) {
        self.is_told = true;
        if self.open == ExchangeId(0) {
            return;
        }
        let exchange = host.exchange(self.open);
        if self.calls.count > 1 {
            exchange.db.batch = self.calls.count;
        }
        if self.calls.differ {
            exchange.clear(Field::Query);
            exchange.set(Field::Operation, b"BATCH", VALUE_MAX);
        }
        host.request_head(self.open);
    }

    /// What both ends want of encryption is known.
    pub(super) fn agree(&mut self) {
        let both = (self.wish, self.terms.wish);
        self.hides_login = both == (Wish::Login, Wish::Login);
        self.disagree = matches!(
            both,
            (Wish::All, Wish::Impossible) | (Wish::Impossible, Wish::All)
        );
        self.phase = Phase::Agreed;
    }
}
