//! grpcio: whom a call is for, told by its own header.
//!
//! The library below it reads and writes on threads of its own, several calls in one write: what the thread works for says
//! nothing. So a call that the program makes is handed the request's context (`assets/grpc.py`), which the agent replaces when
//! the bytes are written; a call that comes in is known by the header that its metadata has. Calls without are nobody's, and so
//! are the library's attempts to connect.
//!
//! The lines are run when the extension module is about to be loaded: the interpreter's lock is held, and none of the library's.

use super::super::{speak_for_all, tell_by_headers};
use super::{Token, VAR, api, embedded, get, in_use, is_on, resolve};
use crate::context::{client, is_open};
use crate::hooks::contain;
use crate::settings;
use crate::sys::thread;
use agent_engine::config::instrumentation::Instrumentation;
use api::{Method, Object};
use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

const SIDES: [(Instrumentation, &CStr); 2] = [
    (Instrumentation::GrpcClient, c"client"),
    (Instrumentation::GrpcServer, c"server"),
];

/// The front of the extension module's file name.
const MODULE: &[u8] = b"cygrpc.";

/// The program is about to load this object.
pub(super) fn loading(path: &[u8]) {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !is_core(path) || thread::current().has(thread::AGENT) {
        return;
    }
    if let Some(held) = in_use().and_then(super::Held::take) {
        if !DONE.swap(true, Ordering::Relaxed) {
            carry_calls();
        }
        drop(held);
    }
}

/// Runs the lines. The interpreter's lock is held.
fn carry_calls() {
    let text = concat!(
        include_str!("../assets/within.py"),
        include_str!("../assets/grpc.py"),
        "\0"
    );
    // SAFETY: the lock is held; null is passed on to where it is checked, new references are given up.
    unsafe {
        let request = VAR.load(Ordering::Relaxed);
        let sides = api::dict_new();
        for (_, name) in SIDES.iter().filter(|(which, _)| is_on(*which)) {
            if !sides.is_null() {
                api::dict_set(sides, name.as_ptr(), request);
            }
        }
        let names = [(c"request", request), (c"sides", sides)];
        let done = embedded::run(
            text,
            &names,
            &[&embedded::CURRENT, &HANDED, &CARRIER, &LOADED],
        );
        if !done.is_null() {
            speak_for_all();
            if is_on(Instrumentation::GrpcServer) {
                settings::pass_on_calls();
            }
        }
        embedded::give_up(done);
        embedded::give_up(sides);
        api::error_clear();
    }
}

/// What the lines say: the extension module is loaded.
static LOADED: Method = Method {
    name: c"loaded".as_ptr(),
    function: loaded,
    flags: api::NO_ARGUMENTS,
    doc: std::ptr::null(),
};

unsafe extern "C" fn loaded(_: Object, _: Object) -> Object {
    // SAFETY: the callback has the demanded type; Python calls this with its lock held.
    unsafe {
        libc::dl_iterate_phdr(Some(look), null_mut());
        api::long_from(0)
    }
}

unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    contain(|| {
        // SAFETY: the linker passes a valid description of a loaded object, whose name, if any, is a string.
        let (info, name, headers) = unsafe {
            let info = &*info;
            if info.dlpi_name.is_null() {
                return;
            }
            let headers = std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into());
            (info, CStr::from_ptr(info.dlpi_name), headers)
        };
        let end = |header: &libc::Elf64_Phdr| (header.p_vaddr + header.p_memsz) as usize;
        let parts = headers.iter().filter(|h| h.p_type == libc::PT_LOAD);
        if is_core(name.to_bytes()) {
            let start = info.dlpi_addr as usize;
            tell_by_headers(start..start + parts.map(end).max().unwrap_or_default());
        }
    });
    0
}

fn is_core(path: &[u8]) -> bool {
    let name = path.rsplit(|c| *c == b'/').next().unwrap_or_default();
    name.starts_with(MODULE)
}

/// What the lines ask: the header for a call that is made here, or 0 where there is no request.
static HANDED: Method = Method {
    name: c"handed".as_ptr(),
    function: handed,
    flags: api::NO_ARGUMENTS,
    doc: std::ptr::null(),
};

unsafe extern "C" fn handed(_: Object, _: Object) -> Object {
    let header = contain(|| {
        let state = in_use()?;
        // Else the header would name a span that nobody exports.
        if state.sdk_active.load(Ordering::Relaxed) {
            return None;
        }
        let request = resolve(state, get(state));
        is_open(state, request).then(|| client::hand_out(request))?
    });
    // SAFETY: Python calls this with its lock held; so many bytes of text; null says that it has raised an exception.
    unsafe {
        match header.flatten() {
            Some(text) => api::text_from(text.as_ptr().cast(), text.len().cast_signed()),
            None => api::long_from(0),
        }
    }
}

/// The other thing: the value of the variable for the request that came with this header, or 0.
static CARRIER: Method = Method {
    name: c"carrier".as_ptr(),
    function: carrier,
    flags: api::ONE_ARGUMENT,
    doc: std::ptr::null(),
};

unsafe extern "C" fn carrier(_: Object, header: Object) -> Object {
    let mut len = 0;
    // SAFETY: Python calls this with its lock held and an object, which keeps the text that it gives as long as itself.
    let text = unsafe { api::text_of(header, &raw mut len) };
    if text.is_null() {
        // Not a string: the exception says so.
        return null_mut();
    }
    let value = contain(|| {
        let state = in_use()?;
        // SAFETY: so many bytes, which nobody changes.
        let header = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len.cast_unsigned()) };
        let request = client::carrier_of(header);
        is_open(state, request).then(|| Token::Request(request).encode() ^ state.ids.salt())
    });
    // SAFETY: as above.
    unsafe { api::long_from(value.flatten().unwrap_or_default()) }
}
