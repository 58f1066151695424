//! What a server says: to which of the commands that wait.

use super::class::{self, Classes};
use super::{Entry, Machine, binary};
use crate::exchange::{Fault, Field, VALUE_MAX};
use crate::protocol::{ExchangeId, Host};

impl Machine {
    /// An answer came. `code`: it is an error.
    pub(super) fn answered<H: Host>(
        &mut self,
        class: Classes,
        code: Option<&[u8]>,
        now: u64,
        host: &mut H,
    ) {
        self.drop_answered(now, host);
        let stray = self.stray & class != 0;
        let Some(oldest) = self.pending.oldest() else {
            // To a command that is over (`noreply` does not hide errors); or the connection was not understood.
            if !stray && class != class::ERROR {
                self.conclude(Fault::None, now, host);
            }
            return;
        };
        let may = stray || oldest.shows & class != 0;
        let certain = oldest.answers > 0 && oldest.classes & class != 0;
        if may == certain {
            // Nobody can have said that, or one of two.
            return self.conclude(Fault::None, now, host);
        }
        self.take_answer(certain, code, now, host);
    }

    pub(super) fn packet_answered<H: Host>(
        &mut self,
        header: binary::Header,
        now: u64,
        host: &mut H,
    ) {
        let mut digits = *b"0x0000";
        for (place, shift) in digits[2..].iter_mut().zip([12, 8, 4, 0]) {
            *place = b"0123456789abcdef"[usize::from(header.status >> shift & 15)];
        }
        let code = header.is_error().then_some(&digits[..]);
        // A list of statistics ends with one without a name.
        let goes_on = header.opcode == binary::STAT && header.key > 0 && code.is_none();
        let certain = !header.is_quiet() && !goes_on;
        self.drop_answered(now, host);
        let Some(oldest) = self.pending.oldest() else {
            if certain {
                self.conclude(Fault::None, now, host);
            }
            return;
        };
        if !certain && !goes_on && oldest.shows == 0 {
            // To a command that is over.
            return;
        }
        if oldest.answers == 0 && certain {
            return self.conclude(Fault::None, now, host);
        }
        self.take_answer(certain, code, now, host);
    }

    /// The oldest has got an answer: one of those that had to come (`certain`), or another one.
    fn take_answer<H: Host>(&mut self, certain: bool, code: Option<&[u8]>, now: u64, host: &mut H) {
        self.proven = true;
        let Some(oldest) = self.pending.oldest() else {
            return;
        };
        oldest.answers -= u32::from(certain);
        let Entry { id, sets_up, .. } = *oldest;
        let is_over = oldest.answers == 0 && !oldest.waits;
        let failed = if sets_up {
            self.session.connecting().unwrap_or_default()
        } else {
            id
        };
        if let Some(code) = code
            && failed != ExchangeId(0)
            && host.exchange(failed).text(Field::Code).is_none()
        {
            host.exchange(failed).set(Field::Code, code, VALUE_MAX);
        }
        if certain {
            self.stray = 0;
        }
        if certain && is_over {
            self.pop();
        }
        if sets_up {
            self.session.connected_ns = now;
            if code.is_some() {
                self.session.connect_failed(Fault::None, now, host);
            }
        }
        self.prove(host);
        if certain && is_over {
            self.session.finish(id, Fault::None, now, host);
        }
    }
}
