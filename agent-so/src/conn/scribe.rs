//! The engine's surroundings inside the agent: where exchanges are kept and what happens when one begins or ends.

use super::classify::{self, End};
use super::hello::Hello;
use super::{Meta, session};
use crate::context::{self, Model};
use crate::export::{self, record::Record};
use crate::settings;
use crate::sys::process::State;
use crate::sys::{clock, thread};
use agent_engine::exchange::{Endpoint, Exchange, Field, Kind, System, VALUE_MAX};
use agent_engine::protocol::wide::{Wide, WideId};
use agent_engine::protocol::{Direction, ExchangeId, Host};
use std::sync::atomic::Ordering;

/// [`Host`] over the record slab, for one call on one connection.
pub(crate) struct Scribe<'a> {
    state: &'static State,
    meta: &'a mut Meta,
    fd: i32,
    /// The request whose head became complete in this call.
    pub(crate) begun: Option<u32>,
}

impl<'a> Scribe<'a> {
    /// For the connection whose lock is held. `fd` -1: there is none to
    /// ask.
    pub(crate) fn new(state: &'static State, meta: &'a mut Meta, fd: i32) -> Self {
        Self {
            state,
            meta,
            fd,
            begun: None,
        }
    }

    /// The record is not this connection's any more: nobody may go on with it after the call.
    fn forget(&mut self, index: u32) {
        if self.begun == Some(index) {
            self.begun = None;
        }
    }

    fn ask_for_peer(&mut self) {
        if !self.meta.peer_known && self.fd >= 0 {
            self.meta.peer = classify::peer_of(self.fd);
            self.meta.peer_known = true;
        }
    }

    /// A record for a request of this connection.
    fn take(&mut self, kind: Kind, system: System) -> Option<ExchangeId> {
        if self.state.sdk_active.load(Ordering::Relaxed) {
            return None;
        }
        // A close that no hook saw (fclose) may have made the number a file's or another socket's.
        if self.fd >= 0 && !self.meta.is_still(self.fd) {
            self.meta.stale = true;
            return None;
        }
        let Some(index) = self.state.records.take() else {
            self.state
                .counters
                .no_record
                .fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let record = self.state.records.get(index)?;
        record.begin(std::ptr::from_ref(&*self.meta) as usize);
        self.ask_for_peer();
        // SAFETY: the record was just taken and belongs to this connection, whose lock is held.
        let exchange = unsafe { record.exchange() };
        exchange.kind = kind;
        exchange.peer = self.meta.peer;
        exchange.tls = self.meta.tls.is_some();
        if system != System::None {
            self.name_store(exchange);
            if kind == Kind::Client {
                self.state.stores.remember(&self.meta.peer, system);
            }
        }
        Some(ExchangeId(index + 1))
    }

    /// Says where the database is, as far as the other end's address does not: it may be this process itself.
    fn name_store(&self, exchange: &mut Exchange) {
        let end = match exchange.kind {
            Kind::Client => End::Theirs,
            Kind::Server => End::Ours,
        };
        if self.meta.peer == Endpoint::Unix {
            let mut room = [0; classify::ADDRESS];
            if let Some(path) = classify::unix_path(end, self.socket(), &mut room) {
                exchange.set(Field::Host, path, VALUE_MAX);
            }
        } else if exchange.kind == Kind::Server {
            exchange.local = classify::local_of(self.socket());
        } else if let Some(name) = self.state.names.find(&self.meta.peer) {
            exchange.set(Field::Host, name.text(), VALUE_MAX);
        }
    }

    /// The socket, of a TLS session the one that its library reads from; -1 if that is not known.
    fn socket(&self) -> i32 {
        let of_session = || {
            let id = self.meta.tls?;
            id.library.descriptor(id)
        };
        match self.fd {
            0.. => self.fd,
            _ => of_session().unwrap_or(-1),
        }
    }

    fn record(&self, id: ExchangeId) -> Option<(u32, &'static Record)> {
        let index = id.0.checked_sub(1)?;
        Some((index, self.state.records.get(index)?))
    }
}

impl Host for Scribe<'_> {
    fn follows(&self, kind: Kind, system: System) -> bool {
        settings::queries(kind, system)
    }

    fn open(&mut self, kind: Kind, system: System) -> Option<ExchangeId> {
        let wanted = match system {
            System::None => settings::enabled(kind, false),
            _ => settings::queries(kind, system),
        };
        wanted.then(|| self.take(kind, system))?
    }

    fn open_stream(&mut self, kind: Kind) -> Option<ExchangeId> {
        let any = settings::enabled(kind, false) || settings::enabled(kind, true);
        any.then(|| self.take(kind, System::None))?
    }

    fn wants(&mut self, id: ExchangeId) -> bool {
        let exchange = self.exchange(id);
        settings::enabled(exchange.kind, exchange.rpc)
    }

    fn exchange(&mut self, id: ExchangeId) -> &mut Exchange {
        match self.record(id) {
            // SAFETY: ids come from `open`, so the record belongs to this connection, whose lock is held.
            Some((_, record)) => unsafe { record.exchange() },
            // The engine only passes ids that `open` gave. Were it not so, the panic is contained and the agent off.
            None => unreachable!("exchange id {id:?} was never opened"),
        }
    }

    fn request_head(&mut self, id: ExchangeId) {
        let Some((index, record)) = self.record(id) else {
            return;
        };
        // SAFETY: as in `exchange`.
        let exchange = unsafe { record.exchange() };
        if let Some(id) = self.meta.tls
            && exchange.kind == Kind::Client
            && exchange.text(Field::Host).is_none()
            && exchange.db.system == System::None
        {
            session::name_host(id, exchange);
        }
        match exchange.kind {
            Kind::Server => context::server::begin(self.state, index, record, exchange, self.meta),
            Kind::Client => context::client::begin(self.state, record, exchange, self.meta),
        }
        self.begun = Some(index);
    }

    fn finished(&mut self, id: ExchangeId) {
        let Some((index, record)) = self.record(id) else {
            return;
        };
        self.forget(index);
        // SAFETY: as in `exchange`.
        let exchange = unsafe { record.exchange() };
        if exchange.peer == Endpoint::Unknown {
            // A TLS session may have begun its first request before its socket was known.
            exchange.peer = self.meta.peer;
        }
        context::end(self.state, record);
        export::submit(self.state, index, record);
    }

    fn discard(&mut self, id: ExchangeId) {
        let Some((index, record)) = self.record(id) else {
            return;
        };
        self.forget(index);
        context::end(self.state, record);
        export::release(self.state, index, record);
    }

    fn captured_header(&self, kind: Kind, response: bool, name: &[u8]) -> Option<u8> {
        settings::captured_header(kind, response, name)
    }

    fn passed_over(&mut self) {
        self.state
            .counters
            .no_record
            .fetch_add(1, Ordering::Relaxed);
    }

    fn wide(&mut self) -> Option<WideId> {
        let index = self.state.wides.take()?;
        // SAFETY: just taken, by the connection whose lock is held.
        unsafe { self.state.wides.get(index)?.wide() }.reset();
        Some(WideId(index + 1))
    }

    fn wide_mut(&mut self, id: WideId) -> &mut Wide {
        let block = id.0.checked_sub(1).and_then(|i| self.state.wides.get(i));
        match block {
            // SAFETY: ids come from `wide`, so the block belongs to this connection, whose lock is held.
            Some(block) => unsafe { block.wide() },
            // As in `exchange`.
            None => unreachable!("{id:?} was never given"),
        }
    }

    fn release_wide(&mut self, id: WideId) {
        if let Some(index) = id.0.checked_sub(1) {
            self.state.wides.give(index);
        }
    }

    fn tls_begins(&mut self, dir: Direction, random: &[u8; 32]) {
        self.ask_for_peer();
        let mut hello = Hello::new(*random, dir);
        hello.peer = self.meta.peer;
        hello.connect_parent = self.meta.connect_parent;
        hello.connect_start_ns = self.meta.connect_start_ns;
        hello.cookie = self.meta.cookie;
        self.state.hellos.remember(hello);
    }

    fn greeted(&mut self, system: System) {
        self.ask_for_peer();
        self.state.stores.remember(&self.meta.peer, system);
    }

    fn greeted_as(&mut self) -> System {
        self.ask_for_peer();
        self.state.stores.find(&self.meta.peer)
    }

    fn same_sender(&self) -> bool {
        settings::model() == Model::Blocking && self.meta.sender == thread::identity()
    }

    fn is_told(&self, place: u32) -> bool {
        self.state.told.knows(self.meta.cookie, place)
    }

    fn connected(&mut self) -> Option<(u64, u64)> {
        let (start, end) = (self.meta.connect_start_ns, self.meta.connected_ns);
        let end = if end == 0 { clock::monotonic_ns() } else { end };
        (start != 0).then_some((start, end))
    }
}
