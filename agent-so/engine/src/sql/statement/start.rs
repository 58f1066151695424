//! Beginnings of statements, and the names in them.

use super::super::Dialect;
use super::super::keyword::Key;
use super::super::lexer::{Kind, Token};
use super::{State, Statement};

impl Statement<'_, '_> {
    /// The first word of a statement.
    pub(super) fn start(&mut self, token: Token, key: Key) {
        if self.dialect == Dialect::SqlServer && self.is(token, b"END") {
            return;
        }
        let unseparated = self.dialect == Dialect::SqlServer;
        let (state, shown) = match key {
            Key::Select => (State::Select, !self.united),
            Key::With => (State::CteName, false),
            Key::Insert | Key::Replace => (State::Insert, true),
            Key::Update | Key::Merge | Key::Table => (State::From, true),
            Key::Delete => (State::Delete, true),
            Key::Values => (State::Done, true),
            Key::Create | Key::Alter | Key::Drop => (State::ObjectKind, true),
            Key::Truncate | Key::Maintain => (State::ObjectName, true),
            Key::Call => (State::Call, true),
            Key::Begin | Key::Transaction | Key::Apply => (State::Transaction, true),
            Key::Prefix => (State::Prefix, true),
            Key::Copy => (State::Copy, true),
            Key::Set if unseparated => (State::Plain, true),
            Key::Set | Key::Alone => (State::End, true),
            _ if unseparated => (State::Plain, false),
            _ => (State::End, false),
        };
        self.vague |= key == Key::If;
        self.statements += u32::from(self.verb == Key::None);
        if self.depth == 0 || self.verb == Key::None {
            // The verb also says that a statement has begun.
            self.verb = match key {
                Key::None => Key::Alone,
                Key::Truncate => Key::Drop,
                key => key,
            };
            self.joined = false;
        }
        if shown {
            self.operation(token);
        }
        self.set(state);
    }

    /// A word after one that stands around another statement.
    pub(super) fn inner(&mut self, token: Token, key: Key) {
        match key {
            Key::Select
            | Key::Insert
            | Key::Update
            | Key::Delete
            | Key::Merge
            | Key::With
            | Key::Create
            | Key::Values
                if self.last != Key::For || key != Key::Update =>
            {
                self.start(token, key);
            }
            _ => {}
        }
    }

    /// SQL Server needs nothing between statements.
    pub(super) fn unseparated(&mut self, token: Token, key: Key) {
        let begins = matches!(
            key,
            Key::Select | Key::Insert | Key::Update | Key::Delete | Key::Merge | Key::Call
        );
        let inside = matches!(
            self.last,
            Key::For | Key::After | Key::Then | Key::Of | Key::Or | Key::As
        );
        if begins && !inside && self.depth == 0 && self.dialect == Dialect::SqlServer {
            self.start(token, key);
        }
    }

    pub(super) fn transaction_word(&mut self, token: Token, key: Key) {
        match key {
            Key::TransactionWord | Key::To => self.more_of_operation(token),
            // The name of a savepoint is not shown: programs number them.
            Key::Transaction => self.more_of_operation(token),
            Key::Batch => {
                self.more_of_operation(token);
                self.set(State::Start);
            }
            _ if self.is_block() => self.start(token, key),
            _ => self.set(State::End),
        }
    }

    /// After BEGIN without TRANSACTION: a statement may follow.
    fn is_block(&self) -> bool {
        self.dialect == Dialect::SqlServer && self.last == Key::Begin
    }

    /// The kind of what is created; words before it are not shown.
    pub(super) fn object_kind(&mut self, token: Token, key: Key) {
        match key {
            Key::Table | Key::Object | Key::Routine | Key::Function => {
                self.more_of_operation(token);
                let routine = matches!(key, Key::Routine | Key::Function);
                self.vague |= key != Key::Table;
                if routine && self.verb != Key::Drop {
                    self.verb = Key::Routine;
                }
                self.set(State::ObjectName);
            }
            Key::Default | Key::Alone | Key::Set => self.set(State::End),
            _ => {}
        }
    }

    pub(super) fn object_name(&mut self, token: Token, key: Key) {
        match key {
            Key::If | Key::Not | Key::Exists | Key::Only | Key::Modifier | Key::Materialized => {}
            Key::Into => {}
            Key::Table | Key::Object if self.takes_kind() => {
                self.vague |= key == Key::Object;
                self.more_of_operation(token);
            }
            Key::Select | Key::Insert | Key::Update | Key::Delete | Key::With
                if self.verb == Key::Maintain =>
            {
                self.start(token, key);
            }
            Key::On => self.set(State::End),
            _ => self.object(token),
        }
    }

    /// `TRUNCATE TABLE t`, `LOCK TABLES t`: the kind may stand there, and has not yet.
    fn takes_kind(&self) -> bool {
        let written = &self.summary.written(self.operation.0);
        matches!(self.verb, Key::Drop | Key::Maintain) && !written.contains(&b' ')
    }

    /// The name of an object.
    pub(super) fn object(&mut self, token: Token) {
        let routine = self.verb == Key::Routine;
        self.vague |= self.verb == Key::Maintain && self.is_first_word(b"USE");
        self.begin_name(token);
        self.set(match routine {
            true => State::Rest,
            false => State::ObjectNamed,
        });
    }

    fn is_first_word(&self, word: &[u8]) -> bool {
        let written = self.summary.written(self.operation.0);
        written
            .get(..word.len())
            .is_some_and(|w| w.eq_ignore_ascii_case(word))
    }

    /// `PRAGMA key = secret` of encrypted SQLite databases: quotes are not needed.
    pub(super) fn is_key_of_database(&self, token: Token) -> bool {
        self.dialect == Dialect::Sqlite
            && self.is_first_word(b"PRAGMA")
            && [
                &b"key"[..],
                b"rekey",
                b"hexkey",
                b"hexrekey",
                b"textkey",
                b"textrekey",
            ]
            .iter()
            .any(|word| self.is(token, word))
    }

    pub(super) fn procedure(&mut self, token: Token) {
        self.vague = true;
        if self.is(token, b"IMMEDIATE") {
            return self.set(State::End);
        }
        self.begin_name(token);
        self.set(State::Called);
    }

    /// Whether the target is a procedure, and not a prepared statement.
    pub(super) fn calls_procedure(&self) -> bool {
        let prepared = matches!(self.dialect, Dialect::PostgreSql(_) | Dialect::MySql(_));
        self.verb == Key::Call && (!prepared || self.is_first_word(b"CALL"))
    }

    pub(super) fn cte(&mut self, token: Token) {
        if let Some(place) = self.ctes.get_mut(self.cte_count) {
            *place = (token.start, token.end);
            self.cte_count += 1;
        }
        self.set(State::CteBody);
    }

    /// A table. What follows it is in `after`.
    pub(super) fn table(&mut self, token: Token, after: State) {
        self.begin_name(token);
        self.set(after);
    }

    fn begin_name(&mut self, token: Token) {
        let start = self.summary.begin();
        self.summary.push(&self.source[token.start..token.end]);
        self.naming = Some(start);
        self.dotted = false;
        if self.summary.is_full() {
            self.summary.take_back(start);
            self.naming = None;
            self.vague = true;
        }
    }

    /// Whether a token is part of the name being written. Otherwise the name ends.
    pub(super) fn name_goes_on(&mut self, token: Token, mark: u8) -> bool {
        let part = self.dotted && matches!(token.kind, Kind::Word | Kind::Name | Kind::Either);
        if mark == b'.' || part {
            self.summary.push(&self.source[token.start..token.end]);
            self.dotted = mark == b'.';
            if !self.summary.is_full() {
                return true;
            }
        }
        self.finish_name(mark == b'(');
        false
    }

    /// Ends the name being written. `called`: arguments follow it.
    pub(super) fn finish_name(&mut self, called: bool) {
        let Some(start) = self.naming.take() else {
            return;
        };
        self.dotted = false;
        let known = self.is_cte(start);
        let from = self.state() == State::Named;
        // `TABLE(...)`, `UNNEST(...)` are syntax. A function in place of a table is shown, but is no collection.
        let syntax = called && from && self.is_syntax(start);
        if self.summary.is_full() || known || syntax {
            self.summary.take_back(start);
            self.vague |= !known;
            return;
        }
        self.vague |= called && from;
        self.targets += 1;
        self.target = (start, self.summary.len());
    }

    fn is_cte(&self, start: usize) -> bool {
        let name = self.summary.written(start);
        self.ctes[..self.cte_count]
            .iter()
            .any(|(from, to)| self.source[*from..*to].eq_ignore_ascii_case(name))
    }

    fn is_syntax(&self, start: usize) -> bool {
        let name = self.summary.written(start);
        [&b"TABLE"[..], b"UNNEST"]
            .iter()
            .any(|word| word.eq_ignore_ascii_case(name))
    }

    fn operation(&mut self, token: Token) {
        let start = self.summary.begin();
        self.summary.push(&self.source[token.start..token.end]);
        if self.summary.is_full() {
            self.summary.take_back(start);
            return;
        }
        self.operations += 1;
        self.operation = (start, self.summary.len());
    }

    /// Another word of the operation written last.
    fn more_of_operation(&mut self, token: Token) {
        let start = self.summary.begin();
        self.summary.push(&self.source[token.start..token.end]);
        if self.summary.is_full() {
            self.summary.take_back(start);
        }
        self.operation.1 = self.summary.len();
    }

    pub(super) fn is(&self, token: Token, word: &[u8]) -> bool {
        self.source[token.start..token.end].eq_ignore_ascii_case(word)
    }
}
