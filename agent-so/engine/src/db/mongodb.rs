//! Names of MongoDB commands. The conventions want no text of them; the summary is the command and its collection, as
//! `find products`.

use super::{Line, Shown};

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

/// Writes the summary into `out`. Names that are not UTF-8 are left out.
pub fn summary(name: &[u8], collection: Option<&[u8]>, out: &mut [u8]) -> Shown {
    let mut line = Line::new(out);
    if is_command(name) {
        line.word(name);
        let valid = |c: &&[u8]| !c.is_empty() && std::str::from_utf8(c).is_ok();
        if let Some(collection) = collection.filter(valid) {
            line.word(collection);
        }
    }
    line.finish()
}
