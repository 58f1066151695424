//! Words with a part in the grammar of summaries or in sanitizing. Words that play the same part share a key: what is
//! shown is always the word itself.

/// The part that a word plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// None.
    None,
    // Operations.
    Select,
    Insert,
    Replace,
    Update,
    Delete,
    Merge,
    With,
    Values,
    Create,
    Alter,
    Drop,
    Truncate,
    Call,
    Begin,
    /// Ends of and points in transactions.
    Transaction,
    /// Statements around another statement.
    Prefix,
    Copy,
    Set,
    /// Operations without a target.
    Alone,
    /// Operations on what is named next.
    Maintain,
    If,
    // Around tables.
    From,
    Into,
    Join,
    Apply,
    Using,
    /// Ends the list of tables.
    Clause,
    /// As `Clause`, and may be the name of a table.
    SoftClause,
    SetOperator,
    Distinct,
    All,
    Is,
    Not,
    Array,
    For,
    On,
    As,
    To,
    Then,
    /// Before a table name, without being it.
    Only,
    /// In INSERT, UPDATE, DELETE before the table.
    Modifier,
    Or,
    Of,
    After,
    // What is created, altered or dropped.
    Table,
    Object,
    /// An object with statements inside.
    Routine,
    Default,
    Exists,
    // Words inside names of operations.
    TransactionWord,
    Batch,
    // Values, and what decides about them.
    Boolean,
    Float,
    In,
    Identified,
    By,
    Format,
    Recursive,
    Materialized,
    Function,
}

/// The longest word below.
const LONGEST: usize = 13;

/// The key of `word` in any case.
pub(super) fn find(word: &[u8]) -> Key {
    let mut upper = [0u8; LONGEST];
    if word.len() < 2 || word.len() > LONGEST {
        return Key::None;
    }
    for (to, from) in upper.iter_mut().zip(word) {
        *to = from.to_ascii_uppercase();
    }
    match &upper[..word.len()] {
        b"SELECT" => Key::Select,
        b"INSERT" | b"UPSERT" => Key::Insert,
        b"REPLACE" => Key::Replace,
        b"UPDATE" => Key::Update,
        b"DELETE" => Key::Delete,
        b"MERGE" => Key::Merge,
        b"WITH" => Key::With,
        b"VALUES" => Key::Values,
        b"CREATE" => Key::Create,
        b"ALTER" => Key::Alter,
        b"DROP" => Key::Drop,
        b"TRUNCATE" => Key::Truncate,
        b"CALL" | b"EXEC" | b"EXECUTE" => Key::Call,
        b"BEGIN" | b"START" => Key::Begin,
        b"COMMIT" | b"ROLLBACK" | b"SAVEPOINT" | b"RELEASE" | b"ABORT" | b"END" => Key::Transaction,
        b"EXPLAIN" | b"PREPARE" | b"DECLARE" => Key::Prefix,
        b"COPY" => Key::Copy,
        b"SET" => Key::Set,
        b"SHOW" | b"RESET" | b"PRAGMA" | b"GRANT" | b"REVOKE" | b"FETCH" | b"MOVE" | b"CLOSE"
        | b"DEALLOCATE" | b"LISTEN" | b"UNLISTEN" | b"NOTIFY" | b"DISCARD" | b"KILL" | b"FLUSH"
        | b"ATTACH" | b"DETACH" | b"COMMENT" | b"DO" | b"LOAD" | b"UNLOCK" | b"CHECKPOINT"
        | b"HANDLER" | b"PRINT" | b"WAITFOR" | b"SYSTEM" | b"PURGE" | b"XA" | b"HELP" | b"LIST" => {
            Key::Alone
        }
        b"USE" | b"DESCRIBE" | b"DESC" | b"VACUUM" | b"ANALYZE" | b"OPTIMIZE" | b"LOCK"
        | b"REFRESH" | b"REINDEX" | b"CLUSTER" | b"CHECK" | b"REPAIR" | b"RENAME" => Key::Maintain,
        b"IF" => Key::If,
        b"FROM" => Key::From,
        b"INTO" => Key::Into,
        b"JOIN" | b"STRAIGHT_JOIN" => Key::Join,
        b"APPLY" => Key::Apply,
        b"USING" => Key::Using,
        b"WHERE" | b"GROUP" | b"ORDER" | b"HAVING" => Key::Clause,
        b"PREWHERE" | b"LIMIT" | b"OFFSET" | b"WINDOW" | b"RETURNING" | b"QUALIFY" | b"CONNECT"
        | b"SETTINGS" | b"OPTION" | b"OUTPUT" | b"ALLOW" => Key::SoftClause,
        b"UNION" | b"INTERSECT" | b"EXCEPT" | b"MINUS" => Key::SetOperator,
        b"DISTINCT" => Key::Distinct,
        b"ALL" => Key::All,
        b"IS" => Key::Is,
        b"NOT" => Key::Not,
        b"ARRAY" => Key::Array,
        b"FOR" => Key::For,
        b"ON" => Key::On,
        b"AS" => Key::As,
        b"TO" => Key::To,
        b"THEN" => Key::Then,
        b"ONLY" | b"LATERAL" => Key::Only,
        b"LOW_PRIORITY" | b"HIGH_PRIORITY" | b"DELAYED" | b"QUICK" | b"IGNORE" | b"OVERWRITE"
        | b"TOP" | b"FAIL" | b"CONCURRENTLY" | b"FULL" | b"VERBOSE" | b"FREEZE" => Key::Modifier,
        b"OR" => Key::Or,
        b"OF" | b"INSTEAD" => Key::Of,
        b"AFTER" | b"BEFORE" => Key::After,
        b"TABLE" | b"TABLES" => Key::Table,
        b"INDEX" | b"VIEW" | b"DATABASE" | b"SCHEMA" | b"SEQUENCE" | b"USER" | b"ROLE"
        | b"LOGIN" | b"TYPE" | b"EXTENSION" | b"KEYSPACE" | b"DOMAIN" | b"POLICY" | b"SERVER"
        | b"SYNONYM" | b"DICTIONARY" | b"TABLESPACE" | b"PUBLICATION" | b"SUBSCRIPTION"
        | b"STATISTICS" | b"AGGREGATE" | b"COLLATION" | b"LANGUAGE" | b"RULE" | b"COLUMNFAMILY" => {
            Key::Object
        }
        b"FUNCTION" => Key::Function,
        b"PROCEDURE" | b"PROC" | b"TRIGGER" | b"EVENT" | b"PACKAGE" => Key::Routine,
        b"DEFAULT" => Key::Default,
        b"EXISTS" => Key::Exists,
        b"TRANSACTION" | b"TRAN" | b"WORK" | b"UNLOGGED" | b"COUNTER" => Key::TransactionWord,
        b"BATCH" => Key::Batch,
        b"TRUE" | b"FALSE" => Key::Boolean,
        b"NAN" | b"INF" | b"INFINITY" => Key::Float,
        b"IN" => Key::In,
        b"IDENTIFIED" => Key::Identified,
        b"BY" => Key::By,
        b"FORMAT" => Key::Format,
        b"RECURSIVE" => Key::Recursive,
        b"MATERIALIZED" => Key::Materialized,
        _ => Key::None,
    }
}
