//! Functions of TLS libraries: replaced where they stand, in every copy that a process loads (`patch`), because the
//! libraries' users reach them in ways that interposition does not: linked into the executable, opened locally, by
//! pointer. Plaintext is seen and rewritten here; the sockets' hooks see records, and leave them alone.

/// One replaced function: its name, the replacement (generic over the copy), and where the way to the original goes.
macro_rules! hook {
    ($name:literal, $function:ident, $slot:ident) => {
        Hook {
            name: $name,
            replacements: [
                hook!($function, 0),
                hook!($function, 1),
                hook!($function, 2),
                hook!($function, 3),
                hook!($function, 4),
                hook!($function, 5),
                hook!($function, 6),
                hook!($function, 7),
            ],
            originals: &$slot,
        }
    };
    ($function:ident, $copy:literal) => {{
        let function = $function::<$copy> as *const ();
        // SAFETY: a function; it is only ever called as what it replaces.
        unsafe { std::mem::transmute::<*const (), unsafe extern "C" fn()>(function) }
    }};
}

pub(crate) use hook;

pub(crate) mod gnutls;
pub(crate) mod openssl;

use crate::conn::session::Id;
use crate::patch::{Family, Helper, Originals};
use crate::settings;
use agent_engine::config::instrumentation::Instrumentation;
use libc::iovec;
use std::ffi::c_void;
use std::sync::atomic::Ordering;

/// The kinds of library that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Library {
    /// OpenSSL, LibreSSL, BoringSSL: what has `SSL_read` and `SSL_write`.
    OpenSsl = 1,
    /// GnuTLS.
    GnuTls = 2,
    /// Java's own. What it is asked for here it tells when a handshake is through (`context::bridge::java`).
    Jsse = 3,
}

/// What the patcher is to look for, by the settings. Called once, in the constructor.
pub(crate) fn wanted() -> Vec<&'static Family> {
    let on = settings::get().config.instrumentations;
    let all = [
        (Instrumentation::OpenSsl, &openssl::FAMILY),
        (Instrumentation::GnuTls, &gnutls::FAMILY),
    ];
    let wanted = all.iter().filter(|(which, _)| on.is_enabled(*which));
    wanted.map(|(_, family)| *family).collect()
}

impl Library {
    /// The random of the client's first message, once there was one.
    pub(crate) fn client_random(self, id: Id) -> Option<[u8; 32]> {
        match self {
            Library::OpenSsl => openssl::client_random(id),
            Library::GnuTls => gnutls::client_random(id),
            Library::Jsse => None,
        }
    }

    /// Whether the program is the server of the session; `None` where the library does not say.
    pub(crate) fn is_server(self, id: Id) -> Option<bool> {
        match self {
            Library::OpenSsl => openssl::is_server(id),
            Library::GnuTls | Library::Jsse => None,
        }
    }

    /// The descriptor that the library itself reads records from.
    pub(crate) fn descriptor(self, id: Id) -> Option<i32> {
        match self {
            Library::OpenSsl => openssl::descriptor(id),
            Library::GnuTls => gnutls::descriptor(id),
            Library::Jsse => None,
        }
    }

    /// Calls `f` with the host name that the client asked for (SNI, RFC 6066 section 3), if there is one.
    pub(crate) fn server_name(self, id: Id, f: impl FnOnce(&[u8])) {
        match self {
            Library::OpenSsl => openssl::server_name(id, f),
            // It tells only servers.
            Library::GnuTls => {}
            // Its users name the host.
            Library::Jsse => {}
        }
    }
}

/// One buffer of a call.
fn piece(buffer: *const c_void, len: usize) -> iovec {
    iovec {
        iov_base: buffer.cast_mut(),
        iov_len: len,
    }
}

/// Where the ways to the functions of all copies are kept.
macro_rules! slots {
    ($($slot:ident)*) => {
        $(static $slot: Originals = [const { AtomicPtr::new(std::ptr::null_mut()) }; COPIES];)*
    };
}
pub(crate) use slots;

/// The function of a copy of the library, by its slot: `None` where that copy has none.
macro_rules! function {
    ($slot:ident, $copy:expr, fn($($arg:ty),* $(,)?) -> $ret:ty) => {{
        let at = address(&$slot, $copy);
        // SAFETY: a slot holds null or the library's function of that name, whose type this is.
        unsafe { std::mem::transmute::<*mut c_void, Option<unsafe extern "C" fn($($arg),*) -> $ret>>(at) }
    }};
}
pub(crate) use function;

/// The way to the function that a replacement stands for. It is published before the replacement can be called.
macro_rules! original {
    ($slot:ident, $copy:expr, fn($($arg:ty),* $(,)?) -> $ret:ty, else $missing:expr) => {
        match function!($slot, $copy, fn($($arg),*) -> $ret) {
            Some(f) => f,
            None => return $missing,
        }
    };
    ($slot:ident, $copy:expr, fn($($arg:ty),* $(,)?)) => {
        match function!($slot, $copy, fn($($arg),*) -> ()) {
            Some(f) => f,
            None => return,
        }
    };
}
pub(crate) use original;

/// The address in the slot of one copy; null where that copy has no such function.
pub(crate) fn address(slot: &Originals, copy: usize) -> *mut c_void {
    slot.get(copy)
        .map_or(std::ptr::null_mut(), |slot| slot.load(Ordering::Acquire))
}

/// A function that is only called.
pub(crate) const fn helper(name: &'static str, addresses: &'static Originals) -> Helper {
    Helper { name, addresses }
}
