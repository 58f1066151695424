//! Where a stream takes up a protocol: at its beginning, and where one protocol gives way to another.

use super::detect::{Detector, Found};
use super::tls::Hello;
use super::{Direction, Host, Protocol, Stage, Stream, db, fastcgi, http1, http2};
use crate::exchange::{Kind, System};

impl Stream {
    /// Which protocol is it?
    #[inline(never)]
    pub(super) fn detect(
        &mut self,
        dir: Direction,
        bytes: &[u8],
        now_ns: u64,
        host: &mut impl Host,
    ) {
        let before = self.detector.kept(dir);
        if self.look_for_tls(dir, bytes, now_ns, host) {
            return;
        }
        match self.detector.probe() {
            Found::More => {}
            Found::No => self.stage = Stage::Opaque,
            Found::Yes(protocol, role) => {
                match protocol {
                    Protocol::Http1 => self.enter(|| Stage::Http1(http1::Machine::new(role))),
                    Protocol::Http2 => self.enter(|| Stage::Http2(http2::Machine::new(role))),
                    Protocol::FastCgi => self.enter(|| Stage::FastCgi(fastcgi::Machine::new(role))),
                    Protocol::Db(system) if host.follows(role, system) => {
                        self.enter_db(system, role);
                    }
                    Protocol::Db(_) => self.stage = Stage::Opaque,
                }
                // Only the bytes of the request itself can have decided this. What the other direction has said
                // before is no answer to it: it belongs to something that was not seen from its start, as on a
                // connection that was handed over. In HTTP/2 either side may begin.
                if protocol == Protocol::Http2 {
                    let other = match dir {
                        Direction::In => Direction::Out,
                        Direction::Out => Direction::In,
                    };
                    let (prefix, first_ns) = self.detector.prefix(other);
                    self.stage.read(other, prefix, first_ns, host);
                }
                let (prefix, first_ns) = self.detector.prefix(dir);
                self.stage.read(dir, &prefix[..before], first_ns, host);
                self.stage.read(dir, bytes, now_ns, host);
                self.turn_to_tls(dir, bytes, now_ns, host);
            }
        }
    }

    /// Keeps the first bytes. Whether they are the beginning of TLS: with its whole hello nothing more is to be learned.
    fn look_for_tls(
        &mut self,
        dir: Direction,
        bytes: &[u8],
        now_ns: u64,
        host: &mut impl Host,
    ) -> bool {
        self.detector.keep(dir, bytes, now_ns);
        match self.detector.hello() {
            (dir, Hello::Yes(random)) => {
                self.stage = Stage::Opaque;
                if let Some(random) = random {
                    host.tls_begins(dir, &random);
                }
                true
            }
            (_, Hello::More) => true,
            (_, Hello::No | Hello::Silence | Hello::Answer) => false,
        }
    }

    /// A database's connection may have agreed on TLS with the bytes just read: what it is is decided anew inside.
    pub(super) fn turn_to_tls(
        &mut self,
        dir: Direction,
        bytes: &[u8],
        now_ns: u64,
        host: &mut impl Host,
    ) {
        if let Stage::Db(machine) = &self.stage
            && let Some(beyond) = machine.turns_to_tls()
        {
            self.stage = Stage::Tunnel;
            self.detector = Detector::default();
            let rest = &bytes[bytes.len() - beyond.min(bytes.len())..];
            self.in_tunnel(dir, rest, now_ns, host);
        }
    }

    /// In a frame of its own, which takes a copy of the stage.
    #[inline(never)]
    fn enter(&mut self, stage: impl FnOnce() -> Stage) {
        self.stage = stage();
    }

    /// As [`Self::enter`].
    #[inline(never)]
    fn enter_db(&mut self, system: System, role: Kind) {
        self.stage = Stage::Opaque;
        db::Machine::make(system, role, |machine| self.stage = Stage::Db(machine));
    }

    /// Something else than HTTP from here on: it is only followed to learn whether it is TLS.
    #[inline(never)]
    pub(super) fn in_tunnel(
        &mut self,
        dir: Direction,
        bytes: &[u8],
        now_ns: u64,
        host: &mut impl Host,
    ) {
        let tls = self.look_for_tls(dir, bytes, now_ns, host);
        if !tls && self.detector.hello().1 == Hello::No {
            self.stage = Stage::Opaque;
        }
    }

    /// HTTP/1 ends here, and `rest` is another protocol's.
    #[inline(never)]
    pub(super) fn leave_http1(
        &mut self,
        dir: Direction,
        rest: &[u8],
        now_ns: u64,
        host: &mut impl Host,
    ) {
        let Stage::Http1(machine) = &self.stage else {
            return;
        };
        if let Some(id) = machine.upgraded() {
            let machine = http2::Machine::upgraded(machine.role(), id, now_ns, host);
            self.stage = Stage::Http2(machine);
            self.stage.read(dir, rest, now_ns, host);
        } else {
            self.stage = Stage::Tunnel;
            self.detector = Detector::default();
            self.in_tunnel(dir, rest, now_ns, host);
        }
    }
}
