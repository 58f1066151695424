//! A host that keeps exchanges in vectors and checks how it is called.

use agent_engine::exchange::{Exchange, Field, Kind, System};
use agent_engine::protocol::wide::{Wide, WideId};
use agent_engine::protocol::{Direction, ExchangeId, Host};

#[derive(Clone, Copy, PartialEq)]
pub enum State {
    Opened,
    Told,
    Over,
}

#[derive(Default)]
pub struct Store {
    /// All that were opened.
    pub exchanges: Vec<(Exchange, State)>,
    wides: Vec<Option<Box<Wide>>>,
    /// What happened, in order.
    pub events: Vec<String>,
}

impl Store {
    fn at(&mut self, id: ExchangeId) -> &mut (Exchange, State) {
        &mut self.exchanges[id.0 as usize - 1]
    }

    /// Nothing is open, and all memory was given back.
    pub fn is_empty(&self) -> bool {
        self.exchanges
            .iter()
            .all(|(_, state)| *state == State::Over)
            && self.wides.iter().all(Option::is_none)
    }
}

impl Host for Store {
    fn same_sender(&self) -> bool {
        false
    }

    fn follows(&self, _: Kind, _: System) -> bool {
        true
    }

    fn open(&mut self, _: Kind, _: System) -> Option<ExchangeId> {
        self.exchanges.push((Exchange::default(), State::Opened));
        Some(ExchangeId(self.exchanges.len() as u32))
    }

    fn exchange(&mut self, id: ExchangeId) -> &mut Exchange {
        let (ex, state) = self.at(id);
        assert!(*state != State::Over);
        ex
    }

    fn request_head(&mut self, id: ExchangeId) {
        let (ex, state) = self.at(id);
        assert!(*state == State::Opened);
        *state = State::Told;
        let what = match ex.db.system {
            System::None => ex.text(Field::Target).expect("a target"),
            _ => ex.text(Field::Query).unwrap_or_default(),
        };
        let event = format!("{} {}", id.0, what.escape_ascii());
        self.events.push(event);
    }

    fn finished(&mut self, id: ExchangeId) {
        let (ex, state) = self.at(id);
        assert!(*state == State::Told);
        *state = State::Over;
        assert!(ex.end_ns >= ex.start_ns);
        let event = format!(
            "{} {} {:?} {} {}/{} {:?} {:?}",
            id.0,
            ex.status,
            ex.fault,
            ex.rpc_status,
            ex.request_body,
            ex.response_body,
            ex.db,
            ex.text(Field::Code)
        );
        self.events.push(event);
    }

    fn discard(&mut self, id: ExchangeId) {
        let (ex, state) = self.at(id);
        let is_query = ex.db.system != System::None;
        assert!(*state == State::Opened || is_query && *state == State::Told);
        *state = State::Over;
    }

    fn captured_header(&self, _: Kind, _: bool, name: &[u8]) -> Option<u8> {
        (name == b"x-id").then_some(0)
    }

    fn passed_over(&mut self) {}

    fn wide(&mut self) -> Option<WideId> {
        self.wides.push(Some(Box::default()));
        Some(WideId(self.wides.len() as u32))
    }

    fn wide_mut(&mut self, id: WideId) -> &mut Wide {
        self.wides[id.0 as usize - 1].as_mut().expect("in use")
    }

    fn release_wide(&mut self, id: WideId) {
        assert!(self.wides[id.0 as usize - 1].take().is_some());
    }

    fn tls_begins(&mut self, _: Direction, _: &[u8; 32]) {}

    fn connected(&mut self) -> Option<(u64, u64)> {
        Some((0, 1))
    }
}
