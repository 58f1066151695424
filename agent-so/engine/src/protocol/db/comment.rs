//! The context of a statement's span, written into the statement as a comment (sqlcommenter): a database's log then names
//! the span.
//!
//! Only where a statement's text is all of one message, that is in PostgreSQL's simple queries and MySQL's COM_QUERY. A
//! prepared statement is what its text says, for the server and for those that keep it.

use crate::context::TRACEPARENT_LEN;
use crate::exchange::{Exchange, Field, System};
use crate::sql;

const BEFORE: &[u8] = b" /*traceparent='";
const AFTER: &[u8] = b"'*/";
/// Most bytes that MySQL's packets have in one piece.
const PACKET_MAX: usize = 0xff_ffff;

/// A message whose front is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commented {
    /// Bytes of the message that are left out, from its beginning.
    pub skip: usize,
    /// Bytes that stand in their place.
    pub len: usize,
}

/// Writes the front of `message`, which carries the query of `exchange` and nothing else, into `out`, with `traceparent` in a
/// comment. `None` where the statement has to stay as it is.
pub fn comment(
    exchange: &Exchange,
    message: &[u8],
    traceparent: &[u8; TRACEPARENT_LEN],
    out: &mut [u8],
) -> Option<Commented> {
    let text = exchange
        .text(Field::Query)
        .filter(|_| !exchange.is_cut(Field::Query))?;
    let system = exchange.db.system;
    let text_at = text_of(system, message, text)?;
    let skip = text_at + sql::comment::place(exchange.db.dialect()?, text)?;
    let more = BEFORE.len() + traceparent.len() + AFTER.len();
    let len = skip + more;
    let mut rest = out.get_mut(..len)?;
    for part in [&message[..skip], BEFORE, traceparent, AFTER] {
        let (room, behind) = rest.split_at_mut(part.len());
        room.copy_from_slice(part);
        rest = behind;
    }
    let total = message.len() + more;
    if system == System::PostgreSql {
        let counted = i32::try_from(total - 1).ok()?;
        out[1..5].copy_from_slice(&counted.to_be_bytes());
    } else {
        let counted = (total - 4) as u32;
        out[..3].copy_from_slice(&counted.to_le_bytes()[..3]);
    }
    Some(Commented { skip, len })
}

/// Where the text begins in a message that carries nothing else.
fn text_of(system: System, message: &[u8], text: &[u8]) -> Option<usize> {
    let at = match (system, message) {
        (System::PostgreSql, [b'Q', a, b, c, d, .., 0])
            if u32::from_be_bytes([*a, *b, *c, *d]) as usize + 1 == message.len() =>
        {
            5
        }
        (System::MySql | System::MariaDb, [a, b, c, 0, 3, rest @ ..])
            if u32::from_le_bytes([*a, *b, *c, 0]) as usize + 4 == message.len()
                && message.len() < PACKET_MAX / 2 =>
        {
            // With CLIENT_QUERY_ATTRIBUTES there is a count of them, here none, and a count of sets of them.
            if rest.starts_with(&[0, 1]) { 7 } else { 5 }
        }
        _ => return None,
    };
    let end = message.len() - usize::from(system == System::PostgreSql);
    (message.get(at..end)? == text).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::QUERY_MAX;

    const PARENT: &[u8; TRACEPARENT_LEN] =
        b"00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";

    fn exchange(system: System, text: &[u8]) -> Exchange {
        let mut exchange = Exchange::default();
        exchange.db.system = system;
        exchange.set(Field::Query, text, QUERY_MAX);
        exchange
    }

    fn simple(text: &str) -> Vec<u8> {
        let length = (text.len() + 5) as u32;
        [b"Q", &length.to_be_bytes()[..], text.as_bytes(), b"\0"].concat()
    }

    fn command(front: &[u8], text: &str) -> Vec<u8> {
        let length = (front.len() + text.len()) as u32;
        let header = [&length.to_le_bytes()[..3], &[0]].concat();
        [&header, front, text.as_bytes()].concat()
    }

    /// What reaches the server.
    fn sent(system: System, text: &str, message: &[u8]) -> Option<Vec<u8>> {
        let mut out = [0; QUERY_MAX + 100];
        let exchange = exchange(system, text.as_bytes());
        let Commented { skip, len } = comment(&exchange, message, PARENT, &mut out)?;
        Some([&out[..len], &message[skip..]].concat())
    }

    #[test]
    fn the_message_is_that_of_the_longer_statement() {
        let parent = std::str::from_utf8(PARENT).unwrap();
        let rows = [
            ("SELECT 1", ""),
            ("SELECT 1", ";"),
            ("UPDATE t SET a = 'é'", "  \n"),
        ];
        for (statement, end) in rows {
            let text = format!("{statement}{end}");
            let longer = format!("{statement} /*traceparent='{parent}'*/{end}");
            let postgresql = sent(System::PostgreSql, &text, &simple(&text));
            assert_eq!(postgresql, Some(simple(&longer)));
            for front in [&[3][..], &[3, 0, 1]] {
                let mysql = sent(System::MySql, &text, &command(front, &text));
                assert_eq!(mysql, Some(command(front, &longer)));
            }
        }
    }

    #[test]
    fn what_is_not_just_that_statement_stays_as_it_is() {
        let text = "SELECT 1";
        let two = [simple(text), simple(text)].concat();
        let prepare = [b"P\0\0\0\x10\0", text.as_bytes(), b"\0\0\0"].concat();
        let half = &simple(text)[..9];
        for message in [&two, &prepare, half, &simple("SELECT 2"), b""] {
            assert_eq!(sent(System::PostgreSql, text, message), None);
        }
        let more = [command(&[3], text), vec![0]].concat();
        let mut second = command(&[3], text);
        second[3] = 1;
        for message in [
            &more,
            &second,
            &command(&[0x16], text),
            &command(&[3, 1, 1], text),
        ] {
            assert_eq!(sent(System::MySql, text, message), None);
        }
        for system in [System::ClickHouse, System::SqlServer, System::None] {
            assert_eq!(sent(system, text, &simple(text)), None);
        }
        let long = format!("SELECT '{}'", "a".repeat(QUERY_MAX));
        assert_eq!(sent(System::PostgreSql, &long, &simple(&long)), None);
    }
}
