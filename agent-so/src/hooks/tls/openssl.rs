//! OpenSSL, LibreSSL, BoringSSL: reads, writes and the end of `SSL` objects.
//!
//! Each replacement exists once per copy of the library in the process, so that it always goes on to the copy that was
//! called. Peeks are not looked at: their bytes come again.

use super::{Library, address, function, helper, original, piece, slots};
use crate::conn::edit::Wire;
use crate::conn::session::{self, Call, Doing, Id};
use crate::conn::slot::SERVER;
use crate::conn::{connect, observe, rewrite};
use crate::context::bridge;
use crate::patch::{COPIES, Family, Hook, Originals};
use crate::sys::errno;
use agent_engine::exchange::Fault;
use agent_engine::protocol::Direction;
use libc::{off_t, size_t, ssize_t};
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::sync::atomic::AtomicPtr;

type Ssl = *mut c_void;

slots! {
    READ READ_EX READ_EARLY WRITE WRITE_EX WRITE_EX2 WRITE_EARLY SENDFILE HANDSHAKE CONNECT SHUTDOWN UP_REF FREE CLEAR
    GET_ERROR GET_RBIO GET_FD GET_RFD GET_CLIENT_RANDOM IS_SERVER GET_SERVERNAME CTRL GET_MODE IS_INIT_FINISHED
}

/// What the patcher looks for and replaces. The marks are what every user needs: the linker leaves out of an executable what
/// it does not call, `SSL_write` among it. They leave out GnuTLS's imitation, which ends in GnuTLS's functions.
pub(crate) static FAMILY: Family = Family {
    name: "OpenSSL",
    marks: &["SSL_free", "SSL_get_error", "SSL_get_rbio"],
    hooks: &[
        hook!("SSL_read", read, READ),
        hook!("SSL_read_ex", read_ex, READ_EX),
        hook!("SSL_read_early_data", read_early, READ_EARLY),
        hook!("SSL_write", write, WRITE),
        hook!("SSL_write_ex", write_ex, WRITE_EX),
        hook!("SSL_write_ex2", write_ex2, WRITE_EX2),
        hook!("SSL_write_early_data", write_early, WRITE_EARLY),
        hook!("SSL_sendfile", sendfile, SENDFILE),
        hook!("SSL_do_handshake", do_handshake, HANDSHAKE),
        hook!("SSL_connect", connect, CONNECT),
        hook!("SSL_shutdown", shutdown, SHUTDOWN),
        hook!("SSL_up_ref", up_ref, UP_REF),
        hook!("SSL_free", free, FREE),
        hook!("SSL_clear", clear, CLEAR),
    ],
    helpers: &[
        helper("SSL_get_error", &GET_ERROR),
        helper("SSL_get_rbio", &GET_RBIO),
        helper("SSL_get_fd", &GET_FD),
        helper("SSL_get_rfd", &GET_RFD),
        helper("SSL_get_client_random", &GET_CLIENT_RANDOM),
        helper("SSL_is_server", &IS_SERVER),
        helper("SSL_get_servername", &GET_SERVERNAME),
        helper("SSL_ctrl", &CTRL),
        helper("SSL_get_mode", &GET_MODE),
        helper("SSL_is_init_finished", &IS_INIT_FINISHED),
    ],
    begun: |_| {},
    gone: |copy| session::forget_copy(Library::OpenSsl, copy),
};

fn id<const COPY: usize>(ssl: Ssl) -> Id {
    Id {
        library: Library::OpenSsl,
        copy: COPY,
        object: ssl as usize,
    }
}

/// The random of the client's first message.
pub(super) fn client_random(id: Id) -> Option<[u8; 32]> {
    let f = function!(
        GET_CLIENT_RANDOM,
        id.copy,
        fn(Ssl, *mut u8, size_t) -> size_t
    )?;
    let mut random = [0; 32];
    // SAFETY: the object is in use by a call of the program's; the buffer has the length that is told.
    let len = unsafe { f(id.object as Ssl, random.as_mut_ptr(), random.len()) };
    (len == random.len() && random != [0; 32]).then_some(random)
}

/// Whether the program is the server.
pub(super) fn is_server(id: Id) -> Option<bool> {
    let f = function!(IS_SERVER, id.copy, fn(Ssl) -> c_int)?;
    // SAFETY: the object is in use by a call of the program's.
    Some(unsafe { f(id.object as Ssl) != 0 })
}

/// The descriptor of the object's reading BIO. Without any BIO the question itself would leave an error behind.
pub(super) fn descriptor(id: Id) -> Option<i32> {
    let get_rbio = function!(GET_RBIO, id.copy, fn(Ssl) -> *mut c_void)?;
    let get_fd = function!(GET_RFD, id.copy, fn(Ssl) -> c_int).or(function!(
        GET_FD,
        id.copy,
        fn(Ssl) -> c_int
    ))?;
    let ssl = id.object as Ssl;
    // SAFETY: the object is in use by a call of the program's.
    let fd = unsafe {
        if get_rbio(ssl).is_null() {
            return None;
        }
        get_fd(ssl)
    };
    (fd >= 0).then_some(fd)
}

/// The host name that the client asked for.
pub(super) fn server_name(id: Id, f: impl FnOnce(&[u8])) {
    const HOST_NAME: c_int = 0;
    let Some(get) = function!(GET_SERVERNAME, id.copy, fn(Ssl, c_int) -> *const c_char) else {
        return;
    };
    // SAFETY: the object is in use by a call of the program's; the answer is null or a string of the object's.
    unsafe {
        let name = get(id.object as Ssl, HOST_NAME);
        if !name.is_null() {
            f(CStr::from_ptr(name).to_bytes());
        }
    }
}

/// Whether the program takes it that a write takes only some of its bytes (`SSL_MODE_ENABLE_PARTIAL_WRITE`).
fn writes_partially(copy: usize, ssl: Ssl) -> bool {
    const PARTIAL: c_long = 1;
    const CTRL_MODE: c_int = 33;
    if let Some(f) = function!(GET_MODE, copy, fn(Ssl) -> u32) {
        // SAFETY: the object is in use by a call of the program's.
        return unsafe { c_long::from(f(ssl)) } & PARTIAL != 0;
    }
    function!(CTRL, copy, fn(Ssl, c_int, c_long, *mut c_void) -> c_long).is_some_and(|f| {
        // SAFETY: as above; setting no mode is asking for it.
        unsafe { f(ssl, CTRL_MODE, 0, std::ptr::null_mut()) & PARTIAL != 0 }
    })
}

/// A call returned `result`, which is no success: 0 at the end of the stream, else -1, and the session knows whether it is
/// for good. Keeps errno.
fn failure(call: &Call, copy: usize, ssl: Ssl, result: c_int, doing: Doing) -> isize {
    const SSL: c_int = 1;
    const SYSCALL: c_int = 5;
    const ZERO_RETURN: c_int = 6;
    let Some(get_error) = function!(GET_ERROR, copy, fn(Ssl, c_int) -> c_int) else {
        return -1;
    };
    let errno = errno::get();
    // SAFETY: the object is in use by a call of the program's, which returned this.
    let error = unsafe { get_error(ssl, result) };
    let fault = match error {
        SSL => Some(Fault::Other),
        SYSCALL if result == 0 || errno == 0 => None,
        SYSCALL => match connect::fault(errno) {
            Fault::None if matches!(errno, libc::EAGAIN | libc::EINTR) => Some(Fault::None),
            Fault::None => None,
            fault => Some(fault),
        },
        ZERO_RETURN => None,
        _ => Some(Fault::None),
    };
    let established = function!(IS_INIT_FINISHED, copy, fn(Ssl) -> c_int).is_none_or(|f| {
        // SAFETY: as above.
        unsafe { f(ssl) != 0 }
    });
    errno::set(errno);
    if !established && fault != Some(Fault::None) {
        session::handshake_failed(call);
        if doing == Doing::Writes {
            // A request was begun by the write: that is what failed.
            call.failed(Fault::TlsHandshake);
            return -1;
        }
    }
    match fault {
        // A peer that hangs up without a goodbye is an error of the library's too, and the end of the stream all the same.
        None | Some(Fault::Other) if doing == Doing::Reads => 0,
        fault => {
            call.failed(fault.unwrap_or(Fault::ConnectionReset));
            -1
        }
    }
}

unsafe extern "C" fn read<const COPY: usize>(ssl: Ssl, buffer: *mut c_void, len: c_int) -> c_int {
    let real = original!(READ, COPY, fn(Ssl, *mut c_void, c_int) -> c_int, else -1);
    let call = session::enter(id::<COPY>(ssl), Doing::Reads, buffer);
    // SAFETY: the program's own call.
    let result = unsafe { real(ssl, buffer, len) };
    if let Some(call) = call
        && len > 0
    {
        let got = match result {
            1.. => result as isize,
            _ => failure(&call, COPY, ssl, result, Doing::Reads),
        };
        return result
            + observe::received_into_on(&call, got, piece(buffer, len as usize)) as c_int;
    }
    result
}

unsafe extern "C" fn read_ex<const COPY: usize>(
    ssl: Ssl,
    buffer: *mut c_void,
    len: size_t,
    got: *mut size_t,
) -> c_int {
    let real = original!(READ_EX, COPY, fn(Ssl, *mut c_void, size_t, *mut size_t) -> c_int, else 0);
    let call = session::enter(id::<COPY>(ssl), Doing::Reads, buffer);
    // SAFETY: the program's own call.
    let result = unsafe { real(ssl, buffer, len, got) };
    if let Some(call) = call
        && len > 0
    {
        let taken = match result {
            // SAFETY: the library has just written it.
            1.. => unsafe { *got as isize },
            _ => failure(&call, COPY, ssl, result, Doing::Reads),
        };
        let more = observe::received_into_on(&call, taken, piece(buffer, len));
        if more > 0 {
            // SAFETY: as above.
            unsafe { *got += more as usize };
        }
    }
    result
}

/// 0-RTT data (RFC 8446 section 2.3): requests like any other.
unsafe extern "C" fn read_early<const COPY: usize>(
    ssl: Ssl,
    buffer: *mut c_void,
    len: size_t,
    got: *mut size_t,
) -> c_int {
    let real =
        original!(READ_EARLY, COPY, fn(Ssl, *mut c_void, size_t, *mut size_t) -> c_int, else 0);
    let call = session::enter(id::<COPY>(ssl), Doing::Reads, buffer);
    // SAFETY: the program's own call.
    let result = unsafe { real(ssl, buffer, len, got) };
    if let Some(call) = call
        && result > 0
    {
        // SAFETY: the library has just written it.
        let taken = unsafe { *got };
        if taken > 0 {
            let more = observe::received_into_on(&call, taken as isize, piece(buffer, len));
            // SAFETY: as above.
            unsafe { *got += more as usize };
        }
    }
    result
}

/// Writes `buffer` by `real`, which takes an address and a length and returns the library's result and how many bytes it
/// took. Returns what the program is to see of both.
#[inline(never)]
unsafe fn written(
    id: Id,
    buffer: *const c_void,
    len: usize,
    real: &dyn Fn(*const c_void, usize) -> (c_int, usize),
) -> (c_int, usize) {
    let Some(call) = session::enter(id, Doing::Writes, buffer) else {
        return real(buffer, len);
    };
    let ssl = id.object as Ssl;
    if len == 0 {
        // Some drive the handshake by writing nothing.
        let (result, count) = real(buffer, len);
        if result <= 0 {
            failure(&call, id.copy, ssl, result, Doing::Else);
        }
        return (result, count);
    }
    let last = Cell::new(0);
    let send = |wire: Wire<'_>| {
        let piece = match wire {
            Wire::Flat(bytes) => piece(bytes.as_ptr().cast(), bytes.len()),
            Wire::Pieces([first, ..]) => *first,
            Wire::Pieces([]) => piece(buffer, 0),
        };
        call.passes(piece.iov_base);
        let (result, count) = real(piece.iov_base, piece.iov_len);
        last.set(result);
        if result > 0 {
            count as isize
        } else {
            failure(&call, id.copy, ssl, result, Doing::Writes)
        }
    };
    let partial = !call.at.conn.hint(SERVER) && writes_partially(id.copy, ssl);
    // SAFETY: the program's buffer, and `send` makes the same call on other bytes.
    let count = unsafe { rewrite::write_on(&call, piece(buffer, len), partial, send) };
    if count > 0 {
        (1, count as usize)
    } else {
        (last.get(), 0)
    }
}

unsafe extern "C" fn write<const COPY: usize>(
    ssl: Ssl,
    buffer: *const c_void,
    len: c_int,
) -> c_int {
    let real = original!(WRITE, COPY, fn(Ssl, *const c_void, c_int) -> c_int, else -1);
    if len < 0 {
        // SAFETY: the program's own call.
        return unsafe { real(ssl, buffer, len) };
    }
    let call = |buffer, len| {
        // SAFETY: the program's object; its buffer or one of ours, shorter than `c_int::MAX`.
        let result = unsafe { real(ssl, buffer, len as c_int) };
        (result, result.max(0) as usize)
    };
    // SAFETY: the program's own call.
    match unsafe { written(id::<COPY>(ssl), buffer, len as usize, &call) } {
        (1.., count) if count > 0 => count as c_int,
        (result, _) => result,
    }
}

macro_rules! counted_writes {
    ($($name:ident = $slot:ident($($extra:ident: $ty:ty),*);)*) => {
        $(
            unsafe extern "C" fn $name<const COPY: usize>(
                ssl: Ssl,
                buffer: *const c_void,
                len: size_t,
                $($extra: $ty,)*
                count: *mut size_t,
            ) -> c_int {
                let real = original!($slot, COPY, fn(Ssl, *const c_void, size_t, $($ty,)* *mut size_t) -> c_int, else 0);
                let call = |buffer, len| {
                    let mut taken = 0;
                    // SAFETY: the program's object; its buffer or one of ours, and a live counter.
                    let result = unsafe { real(ssl, buffer, len, $($extra,)* &raw mut taken) };
                    (result, taken)
                };
                // SAFETY: the program's own call.
                let (result, taken) = unsafe { written(id::<COPY>(ssl), buffer, len, &call) };
                if result > 0 && !count.is_null() {
                    // SAFETY: where the library would have written it too.
                    unsafe { *count = taken };
                }
                result
            }
        )*
    };
}
counted_writes! {
    write_ex = WRITE_EX();
    write_ex2 = WRITE_EX2(flags: u64);
    write_early = WRITE_EARLY();
}

unsafe extern "C" fn sendfile<const COPY: usize>(
    ssl: Ssl,
    fd: c_int,
    offset: off_t,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    let real = original!(SENDFILE, COPY, fn(Ssl, c_int, off_t, size_t, c_int) -> ssize_t, else -1);
    let call = session::enter(id::<COPY>(ssl), Doing::Writes, std::ptr::null());
    // SAFETY: the program's own call.
    let result = unsafe { real(ssl, fd, offset, len, flags) };
    if let Some(call) = call
        && result > 0
    {
        observe::passed_unseen_on(&call, Direction::Out, result as u64);
    }
    result
}

macro_rules! handshakes {
    ($($name:ident = $slot:ident;)*) => {
        $(
            unsafe extern "C" fn $name<const COPY: usize>(ssl: Ssl) -> c_int {
                let real = original!($slot, COPY, fn(Ssl) -> c_int, else -1);
                let call = session::enter(id::<COPY>(ssl), Doing::Else, std::ptr::null());
                // SAFETY: the program's own call.
                let result = unsafe { real(ssl) };
                if let Some(call) = call {
                    if result <= 0 {
                        failure(&call, COPY, ssl, result, Doing::Else);
                    }
                    if is_server(id::<COPY>(ssl)) == Some(true) {
                        bridge::handshake();
                    }
                }
                result
            }
        )*
    };
}
handshakes! {
    do_handshake = HANDSHAKE;
    connect = CONNECT;
}

unsafe extern "C" fn shutdown<const COPY: usize>(ssl: Ssl) -> c_int {
    let real = original!(SHUTDOWN, COPY, fn(Ssl) -> c_int, else -1);
    let call = session::enter(id::<COPY>(ssl), Doing::Else, std::ptr::null());
    // SAFETY: the program's own call.
    let result = unsafe { real(ssl) };
    if let Some(call) = call
        && result >= 0
    {
        observe::shut_down_on(&call);
    }
    result
}

unsafe extern "C" fn up_ref<const COPY: usize>(ssl: Ssl) -> c_int {
    let real = original!(UP_REF, COPY, fn(Ssl) -> c_int, else 0);
    // SAFETY: the program's own call.
    let result = unsafe { real(ssl) };
    if result > 0 {
        session::shared(id::<COPY>(ssl));
    }
    result
}

unsafe extern "C" fn free<const COPY: usize>(ssl: Ssl) {
    let real = original!(FREE, COPY, fn(Ssl));
    if !ssl.is_null() {
        session::release(ssl as usize);
    }
    // SAFETY: the program's own call.
    unsafe { real(ssl) };
}

unsafe extern "C" fn clear<const COPY: usize>(ssl: Ssl) -> c_int {
    let real = original!(CLEAR, COPY, fn(Ssl) -> c_int, else 0);
    session::cleared(ssl as usize);
    // SAFETY: the program's own call.
    unsafe { real(ssl) }
}
