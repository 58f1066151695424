//! Lines of Python that are run inside the program, in name spaces of their own, and the functions of ours that they call.
//!
//! * `assets/threads.py` carries the request into what threads, pools and greenlets are given to do.
//! * `assets/routes.py` tells which route a framework's router has matched. It is asked to [`look`] again when the program has
//!   imported something since: that is one comparison a request.
//! * `assets/cassandra.py`, wrapped in the same way, tells whom the statements are for that a thread of the driver's will write.

use super::super::told::tell;
use super::{Token, VAR, api, get, in_use, is_on, resolve, set};
use crate::context::{is_open, server};
use crate::export::record::Ref;
use crate::hooks::contain;
use crate::sys::process::State;
use crate::sys::{errno, raw};
use agent_engine::config::instrumentation::Instrumentation;
use api::{Method, Object};
use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicIsize, AtomicPtr, Ordering};

/// Runs the lines about threads. The interpreter's lock is held.
pub(super) fn carry_into_threads() {
    let text = concat!(
        include_str!("../assets/within.py"),
        include_str!("../assets/threads.py"),
        "\0"
    );
    // SAFETY: the lock is held; null is passed on to where it is checked, the new reference is given up.
    unsafe {
        let request = VAR.load(Ordering::Relaxed);
        give_up(run(text, &[(c"request", request)], &[&CURRENT]));
        api::error_clear();
    }
}

/// The function that wraps what has been imported; null where there is nothing to wait for.
static LOOK: AtomicPtr<std::ffi::c_void> = AtomicPtr::new(null_mut());
/// How many modules there were when it looked last.
static MODULES: AtomicIsize = AtomicIsize::new(-1);
/// What it answers: everything is wrapped; something is being imported just now.
const NOTHING_LEFT: u64 = 0;
const AT_ONCE: u64 = 2;

/// What is wrapped, by the names that the lines know it by.
const WRAPPED: [(Instrumentation, &CStr); 5] = [
    (Instrumentation::Flask, c"FLASK"),
    (Instrumentation::Django, c"DJANGO"),
    (Instrumentation::Starlette, c"STARLETTE"),
    (Instrumentation::AiohttpServer, c"AIOHTTP_SERVER"),
    (Instrumentation::Cassandra, c"CASSANDRA"),
];

/// Runs the lines about what is imported. The interpreter's lock is held.
pub(super) fn follow_imports() {
    let text = concat!(
        include_str!("../assets/within.py"),
        include_str!("../assets/routes.py"),
        include_str!("../assets/cassandra.py"),
        include_str!("../assets/look.py"),
        "\0"
    );
    // SAFETY: the lock is held; null is passed on to where it is checked, new references are given up.
    unsafe {
        let request = VAR.load(Ordering::Relaxed);
        let wanted = api::dict_new();
        for (_, name) in WRAPPED.iter().filter(|(which, _)| is_on(*which)) {
            if !wanted.is_null() {
                api::dict_set(wanted, name.as_ptr(), request);
            }
        }
        let names = [(c"request", request), (c"wanted", wanted)];
        let globals = run(text, &names, &[&CURRENT, &ROUTED, &SERVING, &TOLD]);
        if !globals.is_null() {
            // The name space lives as long as its function, which is kept.
            let look = api::dict_get(globals, c"look".as_ptr());
            if !look.is_null() {
                api::inc_ref(look);
                LOOK.store(look, Ordering::Release);
            }
        }
        give_up(globals);
        give_up(wanted);
        api::error_clear();
    }
}

/// Wraps what the program has imported since the last time. The interpreter's lock is held.
pub(super) fn look(state: &State) {
    let look = LOOK.load(Ordering::Acquire);
    // An SDK in the process knows the routes itself.
    if look.is_null() || state.sdk_active.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: the lock is held; the modules are a reference of the interpreter's.
    let modules = unsafe { api::dict_size(api::modules()) };
    // Stored first: another thread may get the lock while the lines run.
    if MODULES.swap(modules, Ordering::Relaxed) == modules {
        return;
    }
    let mut error = [null_mut(); 3];
    let at = error.as_mut_ptr();
    // SAFETY: the lock is held; `look` is kept for ever; an exception on its way is kept from the lines.
    unsafe {
        api::error_fetch(at, at.add(1), at.add(2));
        let answer = api::call(look, null_mut());
        if !answer.is_null() {
            match api::long_as(answer) {
                NOTHING_LEFT => LOOK.store(null_mut(), Ordering::Release),
                AT_ONCE => MODULES.store(-1, Ordering::Relaxed),
                _ => {}
            }
            api::dec_ref(answer);
        }
        api::error_clear();
        let [kind, value, trace] = error;
        api::error_restore(kind, value, trace);
    }
}

/// Runs `text` (NUL-terminated) with these names and functions. Gives a new reference to its name space; null: it failed.
///
/// # Safety
/// The interpreter's lock is held, and what the names stand for are objects or null.
pub(super) unsafe fn run(
    text: &str,
    names: &[(&CStr, Object)],
    functions: &[&'static Method],
) -> Object {
    const FILE: i32 = 257;
    // SAFETY: by the caller's promise; strings are NUL-terminated; null is checked before use, new references are given up.
    unsafe {
        let globals = api::dict_new();
        let code = api::compile(text.as_ptr().cast(), c"<otel-run>".as_ptr(), FILE);
        let complete = names.iter().all(|(_, object)| !object.is_null());
        let mut done = null_mut();
        if !globals.is_null() && !code.is_null() && complete {
            api::dict_set(globals, c"__builtins__".as_ptr(), api::builtins());
            for (name, object) in names {
                api::dict_set(globals, name.as_ptr(), *object);
            }
            for method in functions {
                let function = api::function_new(*method, null_mut(), null_mut());
                if !function.is_null() {
                    api::dict_set(globals, method.name, function);
                }
                give_up(function);
            }
            done = api::evaluate(code, globals, globals);
        }
        give_up(code);
        if done.is_null() {
            give_up(globals);
            return null_mut();
        }
        give_up(done);
        globals
    }
}

/// # Safety
/// The interpreter's lock is held, and this is a reference of the caller's or null.
pub(super) unsafe fn give_up(object: Object) {
    if !object.is_null() {
        // SAFETY: by the caller's promise.
        unsafe { api::dec_ref(object) };
    }
}

/// What the lines ask: the value of the variable for what is started now, or 0 where there is no request.
pub(super) static CURRENT: Method = Method {
    name: c"current".as_ptr(),
    function: current,
    flags: api::NO_ARGUMENTS,
    doc: std::ptr::null(),
};

unsafe extern "C" fn current(_: Object, _: Object) -> Object {
    let value = contain(|| {
        let state = in_use()?;
        let request = resolve(state, get(state));
        is_open(state, request).then(|| Token::Request(request).encode() ^ state.ids.salt())
    });
    // SAFETY: Python calls this with its lock held; null says that it has raised an exception.
    unsafe { api::long_from(value.flatten().unwrap_or_default()) }
}

/// What the lines about routes say: the template that was matched for the request of this context.
static ROUTED: Method = Method {
    name: c"routed".as_ptr(),
    function: routed,
    flags: api::ONE_ARGUMENT,
    doc: std::ptr::null(),
};

unsafe extern "C" fn routed(_: Object, template: Object) -> Object {
    let mut len = 0;
    // SAFETY: Python calls this with its lock held and an object, which keeps the text that it gives as long as itself.
    let text = unsafe { api::text_of(template, &raw mut len) };
    if text.is_null() {
        // Not a string: the exception says so.
        return null_mut();
    }
    contain(|| {
        // SAFETY: so many bytes, which nobody changes.
        let route = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len.cast_unsigned()) };
        if let Some(state) = in_use() {
            server::routed(state, resolve(state, get(state)), route);
        }
    });
    // SAFETY: as above.
    unsafe { api::long_from(0) }
}

/// The other thing they say: this context works for what this socket has brought.
static SERVING: Method = Method {
    name: c"serving".as_ptr(),
    function: serving,
    flags: api::ONE_ARGUMENT,
    doc: std::ptr::null(),
};

unsafe extern "C" fn serving(_: Object, fd: Object) -> Object {
    // SAFETY: Python calls this with its lock held and an object; what is no number gives one that is no descriptor.
    let fd = unsafe { api::long_as(fd) };
    contain(|| {
        let state = in_use()?;
        let errno = errno::get();
        let cookie = raw::socket_cookie(i32::try_from(fd).unwrap_or(-1));
        errno::set(errno);
        let request = state.cells.find(cookie)?.request;
        if is_open(state, request) {
            let undo = set(state, Token::Request(request));
            // SAFETY: as above; this is our reference.
            unsafe { give_up(undo) };
        }
        Some(())
    });
    // SAFETY: as above.
    unsafe {
        api::error_clear();
        api::long_from(0)
    }
}

/// What the lines about Cassandra say: on this socket, this stream's request is for whom this value of the variable stands.
static TOLD: Method = Method {
    name: c"told".as_ptr(),
    function: told,
    flags: api::ARGUMENTS,
    doc: std::ptr::null(),
};

unsafe extern "C" fn told(_: Object, arguments: Object) -> Object {
    // SAFETY: Python calls this with its lock held and a tuple, whose items are references of its own; what is missing or no number
    // leaves an exception, which is raised.
    let numbers = unsafe {
        [0, 1, 2].map(|at| {
            let item = api::tuple_get(arguments, at);
            if item.is_null() {
                return u64::MAX;
            }
            api::long_as(item)
        })
    };
    // SAFETY: as above.
    if !unsafe { api::error_occurred() }.is_null() {
        return null_mut();
    }
    let [fd, stream, value] = numbers;
    contain(|| {
        let state = in_use()?;
        let request = match Token::decode(value ^ state.ids.salt()) {
            Token::Request(request) if value != 0 => request,
            _ => Ref::NOBODY,
        };
        tell(
            i32::try_from(fd).ok()?,
            u32::try_from(stream).ok()?,
            request,
        );
        Some(())
    });
    // SAFETY: as above.
    unsafe { api::long_from(0) }
}
