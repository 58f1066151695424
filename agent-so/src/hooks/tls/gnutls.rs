//! GnuTLS: reads, writes and the end of sessions.
//!
//! A write takes no more than a record, so a short one is nothing new to its users. One that failed for now has taken its
//! bytes already: it is repeated with the same bytes or with none at all.

use super::{Library, address, function, helper, original, piece, slots};
use crate::conn::edit::Wire;
use crate::conn::session::{self, ANY, Call, Doing, Id};
use crate::conn::{connect, observe, rewrite};
use crate::patch::{COPIES, Family, Hook, Originals};
use crate::sys::errno;
use agent_engine::exchange::Fault;
use libc::{size_t, ssize_t};
use std::ffi::{c_int, c_uchar, c_uint, c_void};
use std::sync::atomic::AtomicPtr;

type Session = *mut c_void;

slots! {
    INIT RECV RECV_SEQ RECV_PACKET SEND SEND2 CORK UNCORK HANDSHAKE BYE DEINIT
    GET_RANDOM TRANSPORT_GET_PTR PACKET_GET ERROR_IS_FATAL
}

/// What the patcher looks for and replaces. `gnutls_record_send_file` sends by `gnutls_record_send`.
pub(crate) static FAMILY: Family = Family {
    name: "GnuTLS",
    marks: &[
        "gnutls_record_send",
        "gnutls_record_recv",
        "gnutls_deinit",
        "gnutls_session_get_random",
    ],
    hooks: &[
        hook!("gnutls_init", init, INIT),
        hook!("gnutls_record_recv", recv, RECV),
        hook!("gnutls_record_recv_seq", recv_seq, RECV_SEQ),
        hook!("gnutls_record_recv_packet", recv_packet, RECV_PACKET),
        hook!("gnutls_record_send", send, SEND),
        hook!("gnutls_record_send2", send2, SEND2),
        hook!("gnutls_record_cork", cork, CORK),
        hook!("gnutls_record_uncork", uncork, UNCORK),
        hook!("gnutls_handshake", handshake, HANDSHAKE),
        hook!("gnutls_bye", bye, BYE),
        hook!("gnutls_deinit", deinit, DEINIT),
    ],
    helpers: &[
        helper("gnutls_session_get_random", &GET_RANDOM),
        helper("gnutls_transport_get_ptr", &TRANSPORT_GET_PTR),
        helper("gnutls_packet_get", &PACKET_GET),
        helper("gnutls_error_is_fatal", &ERROR_IS_FATAL),
    ],
    begun: |_| {},
    gone: |copy| session::forget_copy(Library::GnuTls, copy),
};

/// `gnutls_datum_t`.
#[repr(C)]
struct Datum {
    data: *mut c_uchar,
    size: c_uint,
}

impl Datum {
    const EMPTY: Self = Self {
        data: std::ptr::null_mut(),
        size: 0,
    };
}

fn id<const COPY: usize>(session: Session) -> Id {
    Id {
        library: Library::GnuTls,
        copy: COPY,
        object: session as usize,
    }
}

/// The random of the client's first message.
pub(super) fn client_random(id: Id) -> Option<[u8; 32]> {
    let get = function!(
        GET_RANDOM,
        id.copy,
        fn(Session, *mut Datum, *mut Datum) -> ()
    )?;
    let (mut client, mut server) = (Datum::EMPTY, Datum::EMPTY);
    // SAFETY: the session is in use by a call of the program's; what it points to is its own and stays meanwhile.
    let random = unsafe {
        get(id.object as Session, &raw mut client, &raw mut server);
        if client.data.is_null() || client.size != 32 {
            return None;
        }
        client.data.cast::<[u8; 32]>().read_unaligned()
    };
    (random != [0; 32]).then_some(random)
}

/// The descriptor that records are read from, where the program has set one and not a pointer of its own.
pub(super) fn descriptor(id: Id) -> Option<i32> {
    /// No pointer is that small (`vm.mmap_min_addr`).
    const HIGHEST: usize = 0xffff;
    let get = function!(TRANSPORT_GET_PTR, id.copy, fn(Session) -> *mut c_void)?;
    // SAFETY: the session is in use by a call of the program's.
    let pointer = unsafe { get(id.object as Session) } as usize;
    (1..=HIGHEST).contains(&pointer).then_some(pointer as i32)
}

/// A call returned `result`, a negative number: 0 at the end of the stream, else -1, and the session knows whether it is
/// for good.
fn failure(call: &Call, copy: usize, result: ssize_t, reading: bool) -> isize {
    const PUSH: ssize_t = -53;
    const PULL: ssize_t = -54;
    const PREMATURE_END: ssize_t = -110;
    let is_fatal = function!(ERROR_IS_FATAL, copy, fn(c_int) -> c_int).is_none_or(|f| {
        // SAFETY: it only looks at the number.
        unsafe { f(result as c_int) != 0 }
    });
    let fault = match result {
        _ if !is_fatal => Fault::None,
        PREMATURE_END if reading => return 0,
        PUSH | PULL => match connect::fault(errno::get()) {
            Fault::None => Fault::Other,
            fault => fault,
        },
        _ => Fault::Other,
    };
    call.failed(fault);
    -1
}

macro_rules! reads {
    ($($name:ident = $slot:ident($($extra:ident: $ty:ty),*);)*) => {
        $(
            unsafe extern "C" fn $name<const COPY: usize>(
                session: Session,
                buffer: *mut c_void,
                len: size_t,
                $($extra: $ty,)*
            ) -> ssize_t {
                let real = original!($slot, COPY, fn(Session, *mut c_void, size_t, $($ty),*) -> ssize_t, else -1);
                let call = session::enter(id::<COPY>(session), Doing::Reads, buffer);
                // SAFETY: the program's own call.
                let result = unsafe { real(session, buffer, len, $($extra),*) };
                if let Some(call) = call
                    && len > 0
                {
                    let got = match result {
                        0.. => result,
                        _ => failure(&call, COPY, result, true),
                    };
                    observe::received_on(&call, got, piece(buffer, len));
                }
                result
            }
        )*
    };
}
reads! {
    recv = RECV();
    recv_seq = RECV_SEQ(sequence: *mut c_uchar);
}

/// A record that stays in the library's memory.
unsafe extern "C" fn recv_packet<const COPY: usize>(
    session: Session,
    packet: *mut *mut c_void,
) -> ssize_t {
    let real = original!(RECV_PACKET, COPY, fn(Session, *mut *mut c_void) -> ssize_t, else -1);
    let call = session::enter(id::<COPY>(session), Doing::Reads, std::ptr::null());
    // SAFETY: the program's own call.
    let result = unsafe { real(session, packet) };
    let Some(call) = call else { return result };
    let mut data = Datum::EMPTY;
    if result > 0
        && let Some(get) = function!(
            PACKET_GET,
            COPY,
            fn(*mut c_void, *mut Datum, *mut c_uchar) -> ()
        )
    {
        // SAFETY: the packet that the library has just given.
        unsafe { get(*packet, &raw mut data, std::ptr::null_mut()) };
    }
    let got = match result {
        1.. => (data.size as ssize_t).min(result),
        0 => 0,
        _ => failure(&call, COPY, result, true),
    };
    observe::received_on(&call, got, piece(data.data.cast(), data.size as usize));
    result
}

/// Writes `buffer` by `real`, which takes an address and a length and returns the library's result.
#[inline(never)]
unsafe fn written(
    id: Id,
    buffer: *const c_void,
    len: usize,
    real: &dyn Fn(*const c_void, usize) -> ssize_t,
) -> ssize_t {
    let Some(call) = session::enter(id, Doing::Writes, buffer) else {
        return real(buffer, len);
    };
    if len == 0 {
        // A repetition without the bytes, which the library has.
        let result = real(buffer, len);
        let taken = match result {
            1.. => rewrite::repeated_on(&call, result as usize) as ssize_t,
            _ => result,
        };
        return taken;
    }
    let last = std::cell::Cell::new(0);
    let send = |wire: Wire<'_>| {
        let piece = match wire {
            Wire::Flat(bytes) => piece(bytes.as_ptr().cast(), bytes.len()),
            Wire::Pieces([first, ..]) => *first,
            Wire::Pieces([]) => piece(buffer, 0),
        };
        call.passes(piece.iov_base);
        let result = real(piece.iov_base, piece.iov_len);
        last.set(result);
        match result {
            0.. => result,
            _ => failure(&call, id.copy, result, false),
        }
    };
    // Into the cork goes all of it.
    let partial = !call.is_corked();
    // SAFETY: the program's buffer, and `send` makes the same call on other bytes.
    let count = unsafe { rewrite::write_on(&call, piece(buffer, len), partial, send) };
    if count > 0 { count } else { last.get() }
}

unsafe extern "C" fn send<const COPY: usize>(
    session: Session,
    buffer: *const c_void,
    len: size_t,
) -> ssize_t {
    let real = original!(SEND, COPY, fn(Session, *const c_void, size_t) -> ssize_t, else -1);
    // SAFETY: the program's session; its buffer or one of ours.
    let call = |buffer, len| unsafe { real(session, buffer, len) };
    // SAFETY: the program's own call.
    unsafe { written(id::<COPY>(session), buffer, len, &call) }
}

unsafe extern "C" fn send2<const COPY: usize>(
    session: Session,
    buffer: *const c_void,
    len: size_t,
    pad: size_t,
    flags: c_uint,
) -> ssize_t {
    let real = original!(SEND2, COPY, fn(Session, *const c_void, size_t, size_t, c_uint) -> ssize_t, else -1);
    // SAFETY: as for `send`.
    let call = |buffer, len| unsafe { real(session, buffer, len, pad, flags) };
    // SAFETY: the program's own call.
    unsafe { written(id::<COPY>(session), buffer, len, &call) }
}

unsafe extern "C" fn cork<const COPY: usize>(session: Session) {
    let real = original!(CORK, COPY, fn(Session));
    if let Some(call) = session::enter(id::<COPY>(session), Doing::Writes, std::ptr::null()) {
        call.cork(true);
    }
    // SAFETY: the program's own call.
    unsafe { real(session) };
}

/// What was written into the cork is written by the library once more, and was seen already.
unsafe extern "C" fn uncork<const COPY: usize>(session: Session, flags: c_uint) -> c_int {
    let real = original!(UNCORK, COPY, fn(Session, c_uint) -> c_int, else -1);
    let call = session::enter(id::<COPY>(session), Doing::Writes, ANY);
    if let Some(call) = &call {
        call.cork(false);
    }
    // SAFETY: the program's own call.
    unsafe { real(session, flags) }
}

/// The library does not tell later which end a session is.
unsafe extern "C" fn init<const COPY: usize>(session: *mut Session, flags: c_uint) -> c_int {
    const SERVER: c_uint = 1;
    let real = original!(INIT, COPY, fn(*mut Session, c_uint) -> c_int, else -1);
    // SAFETY: the program's own call.
    let result = unsafe { real(session, flags) };
    if result == 0 {
        // SAFETY: the library has just written it.
        let object = unsafe { *session };
        session::made(id::<COPY>(object), flags & SERVER != 0);
    }
    result
}

unsafe extern "C" fn handshake<const COPY: usize>(session: Session) -> c_int {
    let real = original!(HANDSHAKE, COPY, fn(Session) -> c_int, else -1);
    let call = session::enter(id::<COPY>(session), Doing::Else, std::ptr::null());
    // SAFETY: the program's own call.
    let result = unsafe { real(session) };
    if let Some(call) = call
        && result < 0
        && (failure(&call, COPY, result as ssize_t, true) == 0 || call.has_failed())
    {
        session::handshake_failed(&call);
    }
    result
}

unsafe extern "C" fn bye<const COPY: usize>(session: Session, how: c_uint) -> c_int {
    let real = original!(BYE, COPY, fn(Session, c_uint) -> c_int, else -1);
    let call = session::enter(id::<COPY>(session), Doing::Else, std::ptr::null());
    // SAFETY: the program's own call.
    let result = unsafe { real(session, how) };
    if let Some(call) = call
        && result >= 0
    {
        observe::shut_down_on(&call);
    }
    result
}

unsafe extern "C" fn deinit<const COPY: usize>(session: Session) {
    let real = original!(DEINIT, COPY, fn(Session));
    if !session.is_null() {
        session::end(session as usize);
    }
    // SAFETY: the program's own call.
    unsafe { real(session) };
}
