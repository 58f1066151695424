//! Where a comment may be appended to a statement.

use super::keyword::{self, Key};
use super::lexer::{Kind, Lexer};
use super::{Dialect, Query};

/// Where in a statement's text a comment may be put: behind its last token, before a `;`. `None` where that could be more than a
/// comment: the text is several statements, it has comments (one may be for somebody, or the rest of the text is in it), it defines something that keeps
/// its text (a procedure, a view), it is not UTF-8, or there is a backslash, which sessions read in different ways.
pub(crate) fn place(dialect: Dialect, text: &[u8]) -> Option<usize> {
    if text.contains(&b'\\') || text.contains(&0) || std::str::from_utf8(text).is_err() {
        return None;
    }
    let mut lexer = Lexer::new(&Query {
        text,
        dialect,
        cut: false,
    });
    let (mut begun, mut ended, mut place) = (false, false, 0);
    while let Some(token) = lexer.next() {
        let of = text.get(token.start..token.end)?;
        match token.kind {
            Kind::Space => continue,
            Kind::Comment | Kind::Doubt => return None,
            _ if ended => return None,
            Kind::Mark if of == b";" => {
                ended = true;
                continue;
            }
            Kind::Mark if of == b"(" && !begun => {}
            Kind::Word if !begun => {
                begun = true;
                let reads_or_writes = matches!(
                    keyword::find(of),
                    Key::Select
                        | Key::Insert
                        | Key::Replace
                        | Key::Update
                        | Key::Delete
                        | Key::Merge
                        | Key::With
                        | Key::Values
                );
                if !reads_or_writes {
                    return None;
                }
            }
            _ if !begun => return None,
            _ => {}
        }
        place = token.end;
    }
    begun.then_some(place)
}

#[cfg(test)]
mod tests {
    use super::super::Backslash;
    use super::*;

    #[test]
    fn a_comment_goes_behind_one_statement_that_keeps_no_text() {
        let postgresql = Dialect::PostgreSql(Backslash::Plain);
        let mysql = Dialect::MySql(Backslash::Escape);
        // `^` is where it goes.
        let rows = [
            (postgresql, "SELECT 1^"),
            (postgresql, "  select 'a;b' from t^ \n"),
            (postgresql, "SELECT 1^;"),
            (postgresql, "SELECT 1^ ; "),
            (postgresql, "(SELECT 1) UNION (SELECT 2)^"),
            (postgresql, "WITH x AS (SELECT 1) SELECT * FROM x^"),
            (postgresql, "INSERT INTO t VALUES ($$;$$)^"),
            (postgresql, "SELECT 5--1\n"),
            (postgresql, "SELECT 1 -- end"),
            (postgresql, "SELECT 1 /* own */"),
            (postgresql, "/*+ hint */ SELECT 1"),
            (postgresql, "SELECT 1; SELECT 2"),
            (postgresql, "SELECT 1;;"),
            (postgresql, "SELECT '\\'"),
            (postgresql, "SELECT 'a\0'"),
            (postgresql, "CREATE VIEW v AS SELECT 1"),
            (postgresql, "PREPARE p AS SELECT 1"),
            (postgresql, "COPY t FROM STDIN"),
            (postgresql, "BEGIN"),
            (postgresql, "DECLARE c CURSOR FOR SELECT 1"),
            (postgresql, ""),
            (postgresql, ";"),
            (mysql, "SELECT 5--1^"),
            (mysql, "REPLACE INTO t VALUES (1)^"),
            (mysql, "SELECT 1 # end"),
            (mysql, "SELECT /*!40000 1 */"),
            (mysql, "CREATE PROCEDURE p() SELECT 1"),
            (mysql, "LOAD DATA INFILE 'f' INTO TABLE t"),
        ];
        for (dialect, row) in rows {
            let expected = row.find('^');
            let text = row.replace('^', "");
            assert_eq!(place(dialect, text.as_bytes()), expected, "{row}");
        }
        assert_eq!(place(mysql, b"SELECT '\xff'"), None);
    }
}
