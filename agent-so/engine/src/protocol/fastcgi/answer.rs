//! What a program answers on standard output: a CGI response (RFC 3875 section 6), as header lines and a body.

use crate::exchange::{Exchange, Kind, VALUE_MAX};
use crate::protocol::http1::Progress;
use crate::protocol::http1::lexer::{Lexer, Piece};
use crate::protocol::http1::line::StatusLine;
use crate::protocol::{ExchangeId, Host};

/// Status of a response that names none (RFC 3875 sections 6.2.1 and 6.2.3).
const PLAIN: u16 = 200;
const REDIRECT: u16 = 302;

/// One response.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer {
    /// Whether any byte of it was seen.
    pub(super) started: bool,
    /// Whether its header is complete.
    pub(super) in_body: bool,
    /// The value being read is the status.
    in_status: bool,
    capturing: bool,
    has_location: bool,
    /// Digits of the status seen; above 3 after the last one.
    digits: u8,
    status: u16,
    /// PHP can be told to begin with a status line as in HTTP (`cgi.rfc2616_headers`).
    line: StatusLine,
    line_over: bool,
    lexer: Lexer,
}

impl Answer {
    /// Takes the next bytes of standard output. False: they cannot be a response.
    pub(super) fn feed<H: Host>(
        &mut self,
        bytes: &[u8],
        kind: Kind,
        id: ExchangeId,
        host: &mut H,
    ) -> bool {
        self.started |= !bytes.is_empty();
        if !self.in_body {
            self.status_line(bytes);
        }
        let mut rest = bytes;
        while !self.in_body {
            let (used, piece) = self.lexer.next(rest);
            rest = &rest[used..];
            match piece {
                Piece::More => return true,
                Piece::Bad => return false,
                Piece::Name => self.name(kind, id, host),
                Piece::Value(value) => self.value(value, id, host),
                Piece::ValueEnd => self.value_end(id, host),
                Piece::End => {
                    self.in_body = true;
                    if id != ExchangeId(0) {
                        host.exchange(id).status = self.status();
                    }
                }
            }
        }
        if id != ExchangeId(0) {
            count(host.exchange(id), rest.len() as u64);
        }
        true
    }

    fn status(&self) -> u16 {
        match self.status {
            100..=999 => self.status,
            _ if self.has_location => REDIRECT,
            _ => PLAIN,
        }
    }

    fn status_line(&mut self, bytes: &[u8]) {
        if self.line_over {
            return;
        }
        let (_, progress) = self.line.feed(bytes);
        self.line_over = progress != Progress::More;
        if progress == Progress::Done {
            self.status = self.line.status();
        }
    }

    fn name<H: Host>(&mut self, kind: Kind, id: ExchangeId, host: &mut H) {
        let name = self.lexer.name().unwrap_or_default();
        self.in_status = name == b"status";
        self.has_location |= name == b"location";
        self.capturing = id != ExchangeId(0)
            && host
                .captured_header(kind, true, name)
                .is_some_and(|index| host.exchange(id).begin_captured(index, true));
        if self.in_status {
            self.status = 0;
            self.digits = 0;
        }
        if self.in_status || self.capturing {
            self.lexer.want();
        }
    }

    fn value<H: Host>(&mut self, bytes: &[u8], id: ExchangeId, host: &mut H) {
        if self.in_status {
            for byte in bytes {
                match byte {
                    b'0'..=b'9' if self.digits < 3 => {
                        self.status = self.status * 10 + u16::from(byte - b'0');
                        self.digits += 1;
                    }
                    _ => self.digits = 4,
                }
            }
        }
        if self.capturing {
            host.exchange(id).append_captured(bytes, VALUE_MAX);
        }
    }

    fn value_end<H: Host>(&mut self, id: ExchangeId, host: &mut H) {
        self.in_status = false;
        if self.capturing {
            host.exchange(id).trim_captured();
        }
    }
}

/// Counts bytes of a response's body.
pub(super) fn count(ex: &mut Exchange, n: u64) {
    ex.response_body = ex.response_body.saturating_add(n);
}
