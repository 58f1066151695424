//! `db.query.summary`: operations and their targets in the order of the text, as written.

/// Longest summary, by the conventions.
pub const SUMMARY_MAX: usize = 255;

/// A summary, and the operation and collection where the statement makes them certain.
#[derive(Clone, Debug)]
pub struct Summary {
    buffer: [u8; SUMMARY_MAX],
    len: u8,
    operation: (u8, u8),
    collection: (u8, u8),
    procedure: (u8, u8),
    /// Something did not fit: nothing that follows is written.
    full: bool,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            buffer: [0; SUMMARY_MAX],
            len: 0,
            operation: (0, 0),
            collection: (0, 0),
            procedure: (0, 0),
            full: false,
        }
    }
}

impl Summary {
    /// `db.query.summary`; `None` where no operation was recognised.
    pub fn text(&self) -> Option<&str> {
        self.part((0, self.len))
    }

    /// `db.operation.name`, of a text with one operation.
    pub fn operation(&self) -> Option<&str> {
        self.part(self.operation)
    }

    /// `db.collection.name`, of a text with one operation on one table.
    pub fn collection(&self) -> Option<&str> {
        self.part(self.collection)
    }

    /// `db.stored_procedure.name`, of a text that calls one and does nothing else.
    pub fn procedure(&self) -> Option<&str> {
        self.part(self.procedure)
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.operation = (0, 0);
        self.collection = (0, 0);
        self.procedure = (0, 0);
        self.full = false;
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Appends a part of a name.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let at = self.len();
        // What is no UTF-8 has no place in a name.
        let text = std::str::from_utf8(bytes).is_ok();
        match self.buffer.get_mut(at..at + bytes.len()) {
            Some(room) if !self.full && text => {
                room.copy_from_slice(bytes);
                self.len += u8::try_from(bytes.len()).unwrap_or(0);
            }
            _ => self.full = true,
        }
    }

    /// Begins a new word and returns where.
    pub(super) fn begin(&mut self) -> usize {
        let before = self.len();
        if before > 0 {
            self.push(b" ");
            return before + 1;
        }
        0
    }

    /// Takes back everything from the word that begins at `start` on.
    pub(super) fn take_back(&mut self, start: usize) {
        let kept = start.saturating_sub(1).min(self.len());
        self.len = u8::try_from(kept).unwrap_or(0);
    }

    pub(super) fn written(&self, start: usize) -> &[u8] {
        &self.buffer[start.min(self.len())..self.len()]
    }

    pub(super) fn set_operation(&mut self, range: (usize, usize)) {
        self.operation = narrow(range);
    }

    pub(super) fn set_collection(&mut self, range: (usize, usize)) {
        self.collection = narrow(range);
    }

    pub(super) fn set_procedure(&mut self, range: (usize, usize)) {
        self.procedure = narrow(range);
    }

    fn part(&self, (start, end): (u8, u8)) -> Option<&str> {
        let bytes = self.buffer.get(usize::from(start)..usize::from(end))?;
        std::str::from_utf8(bytes).ok().filter(|s| !s.is_empty())
    }
}

/// Offsets in a summary fit a byte.
fn narrow((start, end): (usize, usize)) -> (u8, u8) {
    match (u8::try_from(start), u8::try_from(end)) {
        (Ok(start), Ok(end)) => (start, end),
        _ => (0, 0),
    }
}
