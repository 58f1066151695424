//! `db.query.text` of a Redis command: the command and its key as sent, field names of hashes, and `?` for every
//! other argument. Commands that are not in the table show nothing but their name: an argument of an unknown command may
//! be anything.

use super::{Line, Shown, is_plain};

/// Which arguments of a command are names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// None.
    Hidden,
    /// The first word is a subcommand.
    Subcommand,
    /// The first.
    Key,
    /// The first, and then each second: fields with values.
    KeyFields,
    /// The first is a key, all others are fields or keys.
    AllNames,
    /// Each second: keys with values.
    Pairs,
    /// A key, fields without values.
    Two,
}

/// Writes the text of the command `words` (name first) into `out`. `cut`: the last word is not whole, or words are missing.
pub fn text<'a>(words: impl Iterator<Item = &'a [u8]>, cut: bool, out: &mut [u8]) -> Shown {
    let mut words = words.peekable();
    let mut line = Line::new(out);
    let Some(name) = words.next() else {
        return line.finish();
    };
    let whole = !cut || words.peek().is_some();
    if !is_name(name) || !whole {
        return line.finish();
    }
    line.word(name);
    let shape = shape(name);
    let mut index = 0usize;
    while let Some(word) = words.next() {
        let partial = cut && words.peek().is_none();
        let named = match shape {
            Shape::Hidden => false,
            Shape::Subcommand => index == 0 && is_name(word),
            Shape::Key => index == 0,
            Shape::Two => index < 2,
            Shape::KeyFields => index == 0 || index % 2 == 1,
            Shape::AllNames => true,
            Shape::Pairs => index.is_multiple_of(2),
        };
        match named && !partial && is_plain(word) {
            true => line.word(word),
            false => line.word(b"?"),
        }
        if line.full {
            break;
        }
        index += 1;
    }
    line.finish()
}

/// Reads the line `mark`, digits, `\r\n` at the front of `bytes`: the number, and how long the line is. `None`: it is not whole,
/// or written in another way.
pub(crate) fn counted(bytes: &[u8], mark: u8) -> Option<(usize, usize)> {
    const DIGITS: usize = 9;
    let (&first, digits) = bytes.split_first()?;
    if first != mark {
        return None;
    }
    let mut value = 0;
    for (at, byte) in digits.iter().take(DIGITS + 1).enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + usize::from(byte - b'0'),
            b'\r' if at > 0 && digits.get(at + 1) == Some(&b'\n') => return Some((value, at + 3)),
            _ => return None,
        }
    }
    None
}

/// Whether `name` looks like the name of a command: then it can be `db.operation.name`.
pub fn is_name(name: &[u8]) -> bool {
    const LONGEST: usize = 40;
    let letter = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=LONGEST).contains(&name.len()) && name[0].is_ascii_alphabetic() && name.iter().all(letter)
}

/// The longest name below.
const LONGEST: usize = 17;

fn shape(name: &[u8]) -> Shape {
    let mut upper = [0u8; LONGEST];
    if name.len() > LONGEST {
        return Shape::Hidden;
    }
    for (to, from) in upper.iter_mut().zip(name) {
        *to = from.to_ascii_uppercase();
    }
    match &upper[..name.len()] {
        b"GET" | b"SET" | b"SETNX" | b"SETEX" | b"PSETEX" | b"GETSET" | b"GETDEL" | b"GETEX"
        | b"APPEND" | b"STRLEN" | b"INCR" | b"DECR" | b"INCRBY" | b"DECRBY" | b"INCRBYFLOAT"
        | b"GETRANGE" | b"SETRANGE" | b"SUBSTR" | b"GETBIT" | b"SETBIT" | b"BITCOUNT"
        | b"BITPOS" | b"BITFIELD" | b"EXPIRE" | b"PEXPIRE" | b"EXPIREAT" | b"PEXPIREAT"
        | b"TTL" | b"PTTL" | b"EXPIRETIME" | b"PERSIST" | b"TYPE" | b"DUMP" | b"RESTORE"
        | b"SORT" | b"SORT_RO" | b"MOVE" | b"HGETALL" | b"HKEYS" | b"HVALS" | b"HLEN"
        | b"HSCAN" | b"HRANDFIELD" | b"LPUSH" | b"RPUSH" | b"LPUSHX" | b"RPUSHX" | b"LPOP"
        | b"RPOP" | b"LLEN" | b"LINDEX" | b"LSET" | b"LRANGE" | b"LTRIM" | b"LREM" | b"LINSERT"
        | b"LPOS" | b"SADD" | b"SREM" | b"SMEMBERS" | b"SISMEMBER" | b"SMISMEMBER" | b"SCARD"
        | b"SPOP" | b"SRANDMEMBER" | b"SSCAN" | b"ZADD" | b"ZREM" | b"ZSCORE" | b"ZMSCORE"
        | b"ZINCRBY" | b"ZCARD" | b"ZCOUNT" | b"ZRANGE" | b"ZREVRANGE" | b"ZRANGEBYSCORE"
        | b"ZREVRANGEBYSCORE" | b"ZRANGEBYLEX" | b"ZREVRANGEBYLEX" | b"ZRANK" | b"ZREVRANK"
        | b"ZREMRANGEBYRANK" | b"ZREMRANGEBYSCORE" | b"ZREMRANGEBYLEX" | b"ZLEXCOUNT"
        | b"ZPOPMIN" | b"ZPOPMAX" | b"ZSCAN" | b"ZRANDMEMBER" | b"PFADD" | b"GEOADD"
        | b"GEOPOS" | b"GEODIST" | b"GEOHASH" | b"GEOSEARCH" | b"GEORADIUS" | b"XADD" | b"XLEN"
        | b"XRANGE" | b"XREVRANGE" | b"XDEL" | b"XTRIM" | b"XACK" | b"XPENDING" | b"XCLAIM"
        | b"XAUTOCLAIM" | b"PUBLISH" | b"SPUBLISH" | b"JSON.GET" | b"JSON.SET" | b"JSON.DEL" => {
            Shape::Key
        }
        b"HGET" | b"HINCRBY" | b"HINCRBYFLOAT" | b"HEXISTS" | b"HSTRLEN" | b"HSETNX"
        | b"RENAME" | b"RENAMENX" | b"COPY" | b"RPOPLPUSH" | b"LMOVE" | b"SMOVE"
        | b"BRPOPLPUSH" => Shape::Two,
        b"HSET" | b"HMSET" => Shape::KeyFields,
        b"DEL" | b"UNLINK" | b"EXISTS" | b"TOUCH" | b"MGET" | b"HMGET" | b"HDEL" | b"SUNION"
        | b"SINTER" | b"SDIFF" | b"SUNIONSTORE" | b"SINTERSTORE" | b"SDIFFSTORE" | b"PFCOUNT"
        | b"PFMERGE" | b"WATCH" | b"SUBSCRIBE" | b"SSUBSCRIBE" | b"UNSUBSCRIBE" => Shape::AllNames,
        b"MSET" | b"MSETNX" => Shape::Pairs,
        b"CLIENT" | b"CLUSTER" | b"COMMAND" | b"CONFIG" | b"ACL" | b"SCRIPT" | b"FUNCTION"
        | b"OBJECT" | b"MEMORY" | b"LATENCY" | b"SLOWLOG" | b"XINFO" | b"XGROUP" | b"PUBSUB"
        | b"MODULE" | b"DEBUG" | b"SENTINEL" => Shape::Subcommand,
        // AUTH, HELLO, MIGRATE, EVAL, EVALSHA, FCALL, PSUBSCRIBE, SELECT, and what nobody has heard of.
        _ => Shape::Hidden,
    }
}
