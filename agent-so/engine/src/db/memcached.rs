//! `db.query.text` of a memcached command of the text protocols: the command and its first key; `?` for what else was
//! sent. The data block of a storage command is not part of the line and never seen here.

use super::{Line, Shown, is_plain};

/// Writes the text of the command line `line` (without its line end) into `out`. `cut`: the line goes on.
pub fn text(line: &[u8], cut: bool, out: &mut [u8]) -> Shown {
    let mut text = Line::new(out);
    let mut words = line.split(|b| *b == b' ').filter(|word| !word.is_empty());
    let name = words.next().unwrap_or_default();
    let Some(known) = command(name) else {
        return text.finish();
    };
    text.word(name);
    let partial = |word: &[u8]| cut && word.as_ptr_range().end == line.as_ptr_range().end;
    for (index, word) in words.enumerate() {
        match index == known && is_plain(word) && !partial(word) {
            true => text.word(word),
            false => text.word(b"?"),
        }
        if text.full {
            break;
        }
    }
    text.finish()
}

/// Which argument of a command is its key; `None` for what is no command. The `gat` commands have a time first.
fn command(name: &[u8]) -> Option<usize> {
    const NO_KEY: usize = usize::MAX;
    Some(match name {
        b"get" | b"gets" | b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas"
        | b"delete" | b"incr" | b"decr" | b"touch" | b"mg" | b"ms" | b"md" | b"ma" | b"me" => 0,
        b"gat" | b"gats" => 1,
        b"mn" | b"noop" | b"stats" | b"flush_all" | b"version" | b"verbosity" | b"quit"
        | b"cache_memlimit" | b"slabs" | b"lru" | b"lru_crawler" | b"watch" | b"shutdown" => NO_KEY,
        _ => return None,
    })
}

/// Whether `name` is a command: then it can be `db.operation.name`.
pub fn is_command(name: &[u8]) -> bool {
    command(name).is_some()
}
