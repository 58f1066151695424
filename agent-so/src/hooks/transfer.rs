//! Calls that move bytes without showing them: sendfile, sendfile64, splice.

use super::{real, word};
use crate::conn::observe::passed_unseen;
use crate::conn::table::IGNORED;
use agent_engine::protocol::Direction;
use libc::{off_t, size_t, ssize_t};
use std::ffi::{c_int, c_uint};

macro_rules! sendfiles {
    ($($name:ident)*) => {
        $(
            #[doc = concat!("Hook of `", stringify!($name), "`: body bytes that are counted, not seen.")]
            ///
            /// # Safety
            /// The C contract of `sendfile`.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub(crate) unsafe extern "C" fn $name(
                out: c_int,
                input: c_int,
                offset: *mut off_t,
                count: size_t,
            ) -> ssize_t {
                let word = word(out);
                // SAFETY: the program's own call.
                let result = unsafe { real::$name(out, input, offset, count) };
                if word != IGNORED {
                    passed_unseen(out, word, Direction::Out, result);
                }
                result
            }
        )*
    };
}
sendfiles! { sendfile sendfile64 }

/// Hook of `splice`.
///
/// # Safety
/// The C contract of `splice`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn splice(
    input: c_int,
    input_offset: *mut i64,
    output: c_int,
    output_offset: *mut i64,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    let (from, to) = (word(input), word(output));
    // SAFETY: the program's own call.
    let result = unsafe { real::splice(input, input_offset, output, output_offset, len, flags) };
    if from != IGNORED {
        passed_unseen(input, from, Direction::In, result);
    }
    if to != IGNORED {
        passed_unseen(output, to, Direction::Out, result);
    }
    result
}
