//! A host that keeps exchanges in vectors and checks how it is called.

use agent_engine::exchange::{Exchange, Field, Kind, System};
use agent_engine::protocol::wide::{Wide, WideId};
use agent_engine::protocol::{Direction, ExchangeId, Host, Stream};

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
    fn connected(&mut self) -> Option<(u64, u64)> {
        Some((0, 1))
    }

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
        let field = match ex.db.system {
            System::None => Field::Target,
            _ => Field::Query,
        };
        let target = ex.text(field).map(|text| text.escape_ascii().to_string());
        assert!(target.is_some() || ex.db.system != System::None);
        let target = target.unwrap_or_default();
        let event = format!("{} {target}", id.0);
        self.events.push(event);
    }

    fn finished(&mut self, id: ExchangeId) {
        let (ex, state) = self.at(id);
        assert!(*state == State::Told);
        *state = State::Over;
        assert!(ex.end_ns >= ex.start_ns);
        let event = format!(
            "{} {} {:?} {} {}/{} {}-{} {:?} {:?} {:?} {:?} {:?}",
            id.0,
            ex.status,
            ex.fault,
            ex.rpc_status,
            ex.request_body,
            ex.response_body,
            ex.start_ns,
            ex.end_ns,
            ex.db,
            ex.text(Field::Query),
            ex.text(Field::Namespace),
            ex.text(Field::Collection),
            ex.text(Field::Code),
        );
        self.events.push(event);
    }

    fn discard(&mut self, id: ExchangeId) {
        let (ex, state) = self.at(id);
        // What a database was asked for may turn out to be of no interest.
        let may_be_told = ex.db.system != System::None && *state == State::Told;
        assert!(*state == State::Opened || may_be_told);
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
}

/// What is made of a connection that begins with `opening`. The input is a list of pieces: a byte with the direction (its highest
/// bit) and the length, then the piece. Nothing stays open.
#[allow(dead_code, reason = "not every target is about a connection")]
pub fn replay(opening: &[(Direction, &[u8])], input: &[u8], bytewise: bool) -> Vec<String> {
    let (mut stream, mut host) = (Stream::default(), Store::default());
    for (dir, bytes) in opening {
        stream.feed(*dir, bytes, 1, &mut host);
    }
    let (mut rest, mut now) = (input, 2);
    while let Some((first, after)) = rest.split_first() {
        let dir = if first & 0x80 == 0 {
            Direction::In
        } else {
            Direction::Out
        };
        let (piece, after) = after.split_at(after.len().min(usize::from(first & 0x7f)));
        stream.call_begins();
        for part in piece.chunks(if bytewise { 1 } else { usize::MAX }) {
            stream.feed(dir, part, now, &mut host);
        }
        stream.call_ends(now, &mut host);
        rest = after;
        now += 1;
    }
    stream.close(now, &mut host);
    assert!(host.is_empty());
    host.events
}
