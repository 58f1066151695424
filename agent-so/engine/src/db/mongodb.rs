//! Names of MongoDB commands. The conventions want no text of them.

/// Whether `name`, the first key of a command document, is the name of a command: then it can be `db.operation.name`.
pub fn is_command(name: &[u8]) -> bool {
    const LONGEST: usize = 64;
    (1..=LONGEST).contains(&name.len())
        && name[0].is_ascii_alphabetic()
        && name.iter().all(u8::is_ascii_alphanumeric)
}

/// Whether the value of the command `name` is a collection, if it is a string. `getMore` has it in a field of its own.
pub fn names_collection(name: &[u8]) -> bool {
    matches!(
        name,
        b"find"
            | b"insert"
            | b"update"
            | b"delete"
            | b"aggregate"
            | b"count"
            | b"distinct"
            | b"findAndModify"
            | b"findandmodify"
            | b"mapReduce"
            | b"create"
            | b"drop"
            | b"createIndexes"
            | b"dropIndexes"
            | b"listIndexes"
            | b"collMod"
            | b"collStats"
            | b"validate"
            | b"compact"
            | b"reIndex"
            | b"killCursors"
            | b"convertToCapped"
    )
}
