//! The grammar of summaries: a small machine over the tokens, with one state for each open parenthesis.
//!
//! What the published cases of the conventions say: operations and tables in the order of the text; a nested SELECT
//! is an operation of its own, one behind UNION is not; CREATE, ALTER and DROP name the kind and the object, and
//! nothing inside. Names of common table expressions are no tables.

mod start;

use super::Dialect;
use super::keyword::Key;
use super::lexer::{Kind, Token};
use super::summary::Summary;

/// Deepest parentheses that are told apart. Nothing inside deeper ones is looked at.
const DEPTH_MAX: usize = 32;
/// Most common table expressions whose names are known.
const CTES_MAX: usize = 8;

/// Where in its grammar a level of parentheses is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A statement begins.
    Start,
    /// After an operation around another one: EXPLAIN, PREPARE, DECLARE.
    Prefix,
    /// A parenthesis has been opened.
    Fresh,
    /// Nothing that begins here matters.
    Plain,
    /// Between SELECT and FROM.
    Select,
    /// A table is next.
    From,
    /// As `From`, first in a parenthesis.
    FromFresh,
    /// In a list of tables, after one.
    Named,
    /// Behind the tables.
    Done,
    /// The table of INSERT is next.
    Insert,
    Inserted,
    /// A table or FROM is next.
    Delete,
    /// What is named may turn out to be no table: `DELETE a FROM t AS a`.
    Deleted,
    /// In the assignments of UPDATE.
    Assign,
    /// The name of a common table expression is next.
    CteName,
    CteBody,
    /// What is created is next: its kind.
    ObjectKind,
    /// Its name.
    ObjectName,
    ObjectNamed,
    /// The table or query of COPY.
    Copy,
    /// The procedure.
    Call,
    Called,
    /// More words of BEGIN and the like.
    Transaction,
    /// Up to `;`.
    End,
    /// Up to the end of the text.
    Rest,
}

pub(super) struct Statement<'a, 's> {
    dialect: Dialect,
    source: &'a [u8],
    summary: &'s mut Summary,
    states: [State; DEPTH_MAX],
    depth: usize,
    /// Keys of the words before; `Key::None` for any other token.
    last: Key,
    before_last: Key,
    /// What the statement is.
    verb: Key,
    /// In FROM of DELETE or MERGE: USING names a table, not columns.
    joined: bool,
    /// A SELECT that follows belongs to the one before.
    united: bool,
    /// A name is being written that began here.
    naming: Option<usize>,
    /// It ends in a dot.
    dotted: bool,
    ctes: [(usize, usize); CTES_MAX],
    cte_count: usize,
    statements: u32,
    operations: u32,
    targets: u32,
    /// There are tables without a name, functions in place of tables, or the like.
    vague: bool,
    operation: (usize, usize),
    target: (usize, usize),
    /// Something that is not SQL follows.
    data: bool,
}

impl<'a, 's> Statement<'a, 's> {
    pub(super) fn new(dialect: Dialect, source: &'a [u8], summary: &'s mut Summary) -> Self {
        summary.clear();
        Self {
            dialect,
            source,
            summary,
            states: [State::Start; DEPTH_MAX],
            depth: 0,
            last: Key::None,
            before_last: Key::None,
            verb: Key::None,
            joined: false,
            united: false,
            naming: None,
            dotted: false,
            ctes: [(0, 0); CTES_MAX],
            cte_count: 0,
            statements: 0,
            operations: 0,
            targets: 0,
            vague: false,
            operation: (0, 0),
            target: (0, 0),
            data: false,
        }
    }

    /// Whether a quoted token in this place can only be a name.
    pub(super) fn takes_name(&self) -> bool {
        self.dotted
            || matches!(
                self.state(),
                State::From | State::FromFresh | State::Insert | State::Delete | State::ObjectName
            )
    }

    /// Whether the next name is a password: Oracle's `IDENTIFIED BY secret`.
    pub(super) fn is_password(&self) -> bool {
        self.last == Key::By && self.before_last == Key::Identified
    }

    /// What follows is not SQL any more: the rows of `INSERT INTO t FORMAT CSV`, a key without quotes.
    pub(super) fn data_follows(&self) -> bool {
        self.data
    }

    /// Nothing that follows can change the summary.
    pub(super) fn is_over(&self) -> bool {
        self.summary.is_full() || self.states[0] == State::Rest && self.naming.is_none()
    }

    /// The text was cut in this token.
    pub(super) fn unfinished(&mut self, token: Token) {
        // What is being named goes on in it.
        let part = self.dotted && token.kind != Kind::Space;
        let dot = token.kind == Kind::Mark && self.source[token.start] == b'.';
        if (part || dot)
            && let Some(start) = self.naming.take()
        {
            self.summary.take_back(start);
            self.dotted = false;
        }
    }

    /// Ends the text and returns how many statements it had. `unsure`: there was more of it.
    pub(super) fn finish(mut self, unsure: bool) -> u32 {
        self.finish_name(false);
        if !unsure && self.statements == 1 && self.operations == 1 {
            self.summary.set_operation(self.operation);
            if self.targets == 1 && !self.vague {
                self.summary.set_collection(self.target);
            }
            if self.targets == 1 && self.calls_procedure() {
                self.summary.set_procedure(self.target);
            }
        }
        self.statements
    }

    /// Takes one token that is neither white space nor comment.
    pub(super) fn token(&mut self, token: Token, key: Key) {
        let mark = match token.kind {
            Kind::Mark => self.source[token.start],
            _ => 0,
        };
        if self.naming.is_some() && self.name_goes_on(token, mark) {
            return;
        }
        if mark == b';' {
            self.next_statement();
            return;
        }
        if self.states[0] != State::Rest {
            match token.kind {
                Kind::Word => self.word(token, key),
                Kind::Name => self.name(token),
                Kind::Either if self.takes_name() => self.name(token),
                Kind::Literal if self.is_quoted_table(token) => self.name(token),
                Kind::Mark => self.mark(mark),
                _ => self.value(token),
            }
        }
        self.united &= matches!(key, Key::SetOperator | Key::All | Key::Distinct) || mark == b'(';
        self.before_last = self.last;
        self.last = key;
    }

    fn state(&self) -> State {
        self.states.get(self.depth).copied().unwrap_or(State::End)
    }

    fn set(&mut self, state: State) {
        if let Some(place) = self.states.get_mut(self.depth) {
            *place = state;
        }
    }

    fn next_statement(&mut self) {
        if self.states[0] == State::Rest {
            return;
        }
        self.depth = 0;
        self.states[0] = State::Start;
        self.last = Key::None;
        self.before_last = Key::None;
        self.verb = Key::None;
        self.cte_count = 0;
        self.united = false;
    }

    fn word(&mut self, token: Token, key: Key) {
        let state = self.state();
        if key == Key::SetOperator && !matches!(state, State::From | State::FromFresh | State::End)
        {
            self.united = true;
            return;
        }
        match state {
            State::Start => self.start(token, key),
            State::Prefix => self.inner(token, key),
            State::Fresh => match key {
                Key::Select | Key::With => self.start(token, key),
                _ => self.set(State::Plain),
            },
            State::Select if key == Key::From => {
                if !self.is_comparison() {
                    self.set(State::From);
                }
            }
            State::From | State::FromFresh => self.in_from(token, key, state),
            State::Named => self.in_tables(token, key),
            State::Done => match key {
                Key::Select if self.united => self.set(State::Select),
                Key::Join if !matches!(self.last, Key::For | Key::Array) => self.set(State::From),
                _ => self.unseparated(token, key),
            },
            State::Insert => match key {
                Key::Into | Key::Modifier | Key::Or => {}
                // `INSERT OR REPLACE INTO`
                _ if self.last == Key::Or => {}
                Key::Table | Key::Function if self.dialect == Dialect::ClickHouse => {
                    self.vague |= key == Key::Function;
                }
                _ if self.dialect == Dialect::SqlServer && self.is(token, b"BULK") => {}
                _ if self.last == Key::Into || self.needs_no_into() => {
                    self.table(token, State::Inserted);
                }
                _ => self.set(State::End),
            },
            State::Inserted => match key {
                Key::Select | Key::With => self.start(token, key),
                Key::Values | Key::Set | Key::Default => self.set(State::Done),
                Key::Format => {}
                _ if self.last == Key::Format && self.dialect == Dialect::ClickHouse => {
                    self.data = true;
                }
                _ => self.unseparated(token, key),
            },
            State::Delete => match key {
                Key::From => self.set(State::From),
                Key::Modifier => {}
                _ => self.table(token, State::Deleted),
            },
            State::Deleted => match key {
                Key::From => {
                    self.summary.take_back(self.operation.1 + 1);
                    self.targets = 0;
                    self.set(State::From);
                }
                _ => self.in_tables(token, key),
            },
            State::Assign if key == Key::From => {
                if !self.is_comparison() {
                    self.set(State::From);
                }
            }
            State::CteName => match key {
                Key::Recursive => {}
                _ => self.cte(token),
            },
            State::CteBody => match key {
                Key::Values | Key::Materialized => {}
                _ => self.inner(token, key),
            },
            State::ObjectKind => self.object_kind(token, key),
            State::ObjectName => self.object_name(token, key),
            State::ObjectNamed => self.set(State::End),
            State::Copy => match key {
                Key::Modifier | Key::Into => {}
                _ => self.table(token, State::End),
            },
            State::Call => match key {
                Key::As => self.set(State::End),
                _ => self.procedure(token),
            },
            State::Transaction => self.transaction_word(token, key),
            State::Plain | State::Select | State::Called | State::Assign => {
                self.unseparated(token, key);
            }
            State::End => self.data = self.is_key_of_database(token),
            State::Rest => {}
        }
    }

    /// `IS [NOT] DISTINCT FROM` compares.
    fn is_comparison(&self) -> bool {
        self.last == Key::Distinct && matches!(self.before_last, Key::Is | Key::Not)
    }

    fn needs_no_into(&self) -> bool {
        matches!(
            self.dialect,
            Dialect::MySql(_) | Dialect::SqlServer | Dialect::ClickHouse
        )
    }

    /// A word where a table is next.
    fn in_from(&mut self, token: Token, key: Key, state: State) {
        match key {
            Key::Select | Key::With if state == State::FromFresh => self.start(token, key),
            Key::Values | Key::Clause | Key::Set => self.set(State::Done),
            Key::Only => self.set(State::From),
            // `UPDATE OR IGNORE t`, `MERGE INTO t`
            _ if self.last == Key::Or => {}
            Key::Modifier | Key::Into | Key::Or
                if matches!(
                    self.last,
                    Key::Update | Key::Merge | Key::Modifier | Key::Or
                ) => {}
            _ => self.table(token, State::Named),
        }
    }

    /// A word in a list of tables, after one.
    fn in_tables(&mut self, token: Token, key: Key) {
        match key {
            Key::Join if !matches!(self.last, Key::For | Key::Array) => {
                self.joined = true;
                self.set(State::From);
            }
            Key::Apply if self.dialect == Dialect::SqlServer => self.set(State::From),
            Key::Using if self.using_names_tables() => self.set(State::From),
            Key::Clause | Key::SoftClause | Key::Into | Key::For => self.set(State::Done),
            Key::Set => self.set(State::Assign),
            Key::On if self.verb == Key::Merge => self.set(State::Done),
            Key::Select if self.united => self.set(State::Select),
            _ => self.unseparated(token, key),
        }
    }

    fn using_names_tables(&self) -> bool {
        self.depth == 0
            && !self.joined
            && self.dialect != Dialect::Cql
            && matches!(self.verb, Key::Delete | Key::Merge)
    }

    fn name(&mut self, token: Token) {
        match self.state() {
            State::From | State::FromFresh => self.table(token, State::Named),
            State::Insert => self.table(token, State::Inserted),
            State::Delete => self.table(token, State::Deleted),
            State::Copy => self.table(token, State::End),
            State::ObjectName => self.object(token),
            State::Call => self.procedure(token),
            State::CteName => self.cte(token),
            State::Fresh => self.set(State::Plain),
            State::Start | State::Transaction => self.set(State::End),
            _ => {}
        }
    }

    /// SQLite takes a string for a name where only a name makes sense; so do the conventions.
    fn is_quoted_table(&self, token: Token) -> bool {
        matches!(self.dialect, Dialect::Sqlite | Dialect::Generic)
            && matches!(self.state(), State::From | State::FromFresh)
            && token.end - token.start > 2
            && self.source[token.start] == b'\''
            && self.source[token.end - 1] == b'\''
    }

    /// A literal, or a parameter.
    fn value(&mut self, token: Token) {
        match self.state() {
            // A table of unknown name.
            State::From | State::FromFresh => self.unnamed(State::Named),
            State::Insert => self.unnamed(State::Inserted),
            State::Delete => self.unnamed(State::Deleted),
            State::CteName => self.set(State::CteBody),
            State::Fresh => self.set(State::Plain),
            State::ObjectName | State::Copy => self.set(State::End),
            // `EXEC @result = procedure`
            State::Call if token.kind != Kind::Parameter => self.set(State::End),
            // `{? = call procedure}`
            State::Start if token.kind != Kind::Parameter => self.set(State::End),
            _ => {}
        }
    }

    fn unnamed(&mut self, state: State) {
        self.vague = true;
        self.set(state);
    }

    fn mark(&mut self, mark: u8) {
        match mark {
            b'(' => self.open(),
            b')' => self.depth = self.depth.saturating_sub(1),
            b',' => match self.state() {
                State::Named => self.set(State::From),
                State::Deleted => self.set(State::Delete),
                State::CteBody => self.set(State::CteName),
                State::ObjectNamed if matches!(self.verb, Key::Drop | Key::Maintain) => {
                    self.set(State::ObjectName);
                }
                State::Fresh => self.set(State::Plain),
                _ => {}
            },
            _ => match self.state() {
                State::From | State::FromFresh => self.unnamed(State::Named),
                State::Insert => self.unnamed(State::Inserted),
                State::Fresh => self.set(State::Plain),
                State::Start if !matches!(mark, b'{' | b'=' | b'}') => self.set(State::End),
                _ => {}
            },
        }
    }

    fn open(&mut self) {
        let (here, inside) = match self.state() {
            State::Start => (State::Start, State::Start),
            State::From | State::FromFresh => (State::Named, State::FromFresh),
            State::CteName => (State::CteBody, State::Start),
            State::CteBody if matches!(self.last, Key::As | Key::Materialized) => {
                (State::CteBody, State::Start)
            }
            State::Copy => (State::End, State::Fresh),
            State::End | State::Rest | State::ObjectKind | State::ObjectName => {
                (State::End, State::End)
            }
            State::ObjectNamed | State::CteBody => (self.state(), State::End),
            State::Call => (State::Called, State::Fresh),
            state => (state, State::Fresh),
        };
        self.set(here);
        self.depth += 1;
        self.set(inside);
    }
}
