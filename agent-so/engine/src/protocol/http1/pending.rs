//! The requests of one connection that wait for their response, oldest first (RFC 9112 section 9.3.2).

use crate::protocol::ExchangeId;

/// How many requests may wait on one connection before it is given up.
pub(super) const PENDING_MAX: usize = 64;

/// What a request's method means for the framing of its response (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Method {
    #[default]
    Other = 0,
    Head,
    Connect,
}

/// A ring of the waiting requests. An id of zero stands for a request that the host had no room for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    ids: [ExchangeId; PENDING_MAX],
    methods: [Method; PENDING_MAX],
    first: u8,
    len: u8,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            ids: [ExchangeId(0); PENDING_MAX],
            methods: [Method::Other; PENDING_MAX],
            first: 0,
            len: 0,
        }
    }
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the oldest request is the newest one as well.
    pub(super) fn is_single(&self) -> bool {
        self.len == 1
    }

    pub(super) fn is_full(&self) -> bool {
        usize::from(self.len) == PENDING_MAX
    }

    /// Adds the newest request; there must be room.
    pub(super) fn push(&mut self, id: ExchangeId) {
        let at = self.slot(self.len);
        self.ids[at] = id;
        self.methods[at] = Method::Other;
        self.len += 1;
    }

    /// The oldest request.
    pub(super) fn front(&self) -> Option<(ExchangeId, Method)> {
        let at = self.slot(0);
        (self.len > 0).then(|| (self.ids[at], self.methods[at]))
    }

    /// The newest request.
    pub(super) fn back(&self) -> Option<ExchangeId> {
        self.len.checked_sub(1).map(|i| self.ids[self.slot(i)])
    }

    /// Notes the method of the newest request.
    pub(super) fn set_method(&mut self, method: Method) {
        if let Some(i) = self.len.checked_sub(1) {
            self.methods[self.slot(i)] = method;
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<ExchangeId> {
        let (id, _) = self.front()?;
        self.first = self.slot(1) as u8;
        self.len -= 1;
        Some(id)
    }

    pub(super) fn pop_back(&mut self) -> Option<ExchangeId> {
        let id = self.back()?;
        self.len -= 1;
        Some(id)
    }

    /// The recorded exchanges, oldest first.
    pub(super) fn ids(&self) -> impl Iterator<Item = ExchangeId> {
        (0..self.len)
            .map(|i| self.ids[self.slot(i)])
            .filter(|id| *id != ExchangeId(0))
    }

    fn slot(&self, i: u8) -> usize {
        (usize::from(self.first) + usize::from(i)) % PENDING_MAX
    }
}
