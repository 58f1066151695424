//! Java's own TLS: what `OtelRunTls` calls with the plaintext of sockets and engines.
//!
//! Bytes are copied out of Java's arrays, never pinned there: while they are looked at Java may be asked for a context.

use super::clear;
use crate::conn::edit::Wire;
use crate::conn::session::{self, Call, Doing, Id};
use crate::conn::{observe, rewrite};
use crate::hooks::contain;
use crate::hooks::tls::Library;
use agent_engine::exchange::Fault;
use jni_sys::{JNI_TRUE, JNIEnv, jboolean, jbyteArray, jclass, jint, jlong, jobject, jvalue};
use libc::iovec;
use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

/// `OtelRunTls.send`, and a global reference to its class.
pub(super) static SEND: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
pub(super) static CLASS: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

fn id(session: jlong) -> Id {
    Id {
        library: Library::Jsse,
        copy: 0,
        object: session as usize,
    }
}

fn enter(session: jlong, doing: Doing) -> Option<Call> {
    session::enter(id(session), doing, std::ptr::null())
}

/// A part of a Java array.
///
/// # Safety
/// The environment is the calling thread's, and `array` an array of bytes.
unsafe fn copy(env: *mut JNIEnv, array: jbyteArray, from: jint, count: jint) -> Option<Vec<u8>> {
    let mut bytes = vec![0u8; usize::try_from(count).ok()?];
    // SAFETY: by the caller's promise; what is out of bounds is thrown, and taken back.
    unsafe {
        (**env).GetByteArrayRegion?(env, array, from, count, bytes.as_mut_ptr().cast());
        if (**env).ExceptionCheck?(env) != 0 {
            clear(env);
            return None;
        }
    }
    Some(bytes)
}

/// A new Java array; `None` where there is no room for it.
///
/// # Safety
/// The environment is the calling thread's.
unsafe fn array_of(env: *mut JNIEnv, bytes: &[u8]) -> Option<jbyteArray> {
    // SAFETY: by the caller's promise; an error is taken back.
    unsafe {
        let array = (**env).NewByteArray?(env, bytes.len() as jint);
        if array.is_null() {
            clear(env);
            return None;
        }
        (**env).SetByteArrayRegion?(env, array, 0, bytes.len() as jint, bytes.as_ptr().cast());
        Some(array)
    }
}

fn piece(bytes: &[u8]) -> iovec {
    iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    }
}

pub(super) unsafe extern "C" fn follows(
    _: *mut JNIEnv,
    _: jclass,
    session: jlong,
    writing: jboolean,
) -> jboolean {
    // Not as anything else: one thread may read from a session while another writes to it.
    contain(|| enter(session, doing(writing)).is_some())
        .unwrap_or_default()
        .into()
}

fn doing(writing: jboolean) -> Doing {
    match writing {
        JNI_TRUE => Doing::Writes,
        _ => Doing::Reads,
    }
}

pub(super) unsafe extern "C" fn shaken(
    env: *mut JNIEnv,
    _: jclass,
    session: jlong,
    random: jbyteArray,
    client: jboolean,
) {
    contain(|| {
        // SAFETY: the caller's environment and array.
        let random = unsafe { copy(env, random, 0, 32) }?;
        let is_server = client != JNI_TRUE;
        session::introduce(id(session), random.as_slice().try_into().ok()?, is_server);
        Some(())
    });
}

pub(super) unsafe extern "C" fn ended(_: *mut JNIEnv, _: jclass, session: jlong) {
    session::end(session as usize);
}

pub(super) unsafe extern "C" fn failed(
    _: *mut JNIEnv,
    _: jclass,
    session: jlong,
    writing: jboolean,
) {
    contain(|| {
        let call = enter(session, doing(writing))?;
        call.failed(Fault::Other);
        if writing == JNI_TRUE {
            observe::wrote_on(&call, -1, piece(&[]));
        } else {
            observe::received_on(&call, -1, piece(&[]));
        }
        Some(())
    });
}

pub(super) unsafe extern "C" fn received(
    env: *mut JNIEnv,
    _: jclass,
    session: jlong,
    bytes: jbyteArray,
    from: jint,
    count: jint,
) {
    contain(|| {
        let call = enter(session, Doing::Reads)?;
        // SAFETY: the caller's environment and array.
        let bytes = unsafe { copy(env, bytes, from, count) }?;
        observe::received_on(&call, bytes.len() as isize, piece(&bytes));
        Some(())
    });
}

pub(super) unsafe extern "C" fn sent(
    env: *mut JNIEnv,
    _: jclass,
    session: jlong,
    bytes: jbyteArray,
    count: jint,
) {
    contain(|| {
        let call = enter(session, Doing::Writes)?;
        // SAFETY: the caller's environment and array.
        let bytes = unsafe { copy(env, bytes, 0, count) }?;
        observe::wrote_on(&call, bytes.len() as isize, piece(&bytes));
        Some(())
    });
}

pub(super) unsafe extern "C" fn written(
    env: *mut JNIEnv,
    _: jclass,
    session: jlong,
    bytes: jbyteArray,
    from: jint,
    count: jint,
) -> jbyteArray {
    let longer = contain(|| {
        let call = enter(session, Doing::Writes)?;
        // SAFETY: the caller's environment and array.
        let bytes = unsafe { copy(env, bytes, from, count) }?;
        let out = RefCell::new(Vec::new());
        let send = |wire: Wire<'_>| {
            let wire = first(&wire);
            out.borrow_mut().extend_from_slice(wire);
            wire.len() as isize
        };
        // SAFETY: the bytes are ours, and all that `send` is given will be written.
        unsafe { rewrite::write_on(&call, piece(&bytes), false, send) };
        let out = out.into_inner();
        if out == bytes {
            return None;
        }
        // SAFETY: the caller's environment.
        unsafe { array_of(env, &out) }
    });
    longer.flatten().unwrap_or(std::ptr::null_mut())
}

/// The first piece of it: a call that takes no more is made again.
fn first<'a>(wire: &Wire<'a>) -> &'a [u8] {
    match wire {
        Wire::Flat(bytes) => bytes,
        // SAFETY: a piece of the bytes that were to be written, which live as long as the call, and it is not empty.
        Wire::Pieces([first, ..]) => unsafe {
            std::slice::from_raw_parts(first.iov_base.cast(), first.iov_len)
        },
        Wire::Pieces([]) => &[],
    }
}

pub(super) unsafe extern "C" fn wrap(
    env: *mut JNIEnv,
    _: jclass,
    session: jlong,
    bytes: jbyteArray,
    count: jint,
    program: jobject,
) -> jint {
    let taken = contain(|| {
        let call = enter(session, Doing::Writes)?;
        // SAFETY: the caller's environment and array.
        let bytes = unsafe { copy(env, bytes, 0, count) }?;
        let send = |wire: Wire<'_>| {
            // SAFETY: the caller's environment and object.
            let taken = unsafe { send(env, program, first(&wire)) }.unwrap_or(FAILED);
            call.failed(match taken {
                FAILED => Fault::Other,
                _ => Fault::None,
            });
            taken.max(-1) as isize
        };
        // SAFETY: the bytes are ours, and `send` has the engine wrap what it is given.
        Some(unsafe { rewrite::write_on(&call, piece(&bytes), true, send) })
    });
    taken.flatten().map_or(-1, |taken| taken as jint)
}

/// What `OtelRunTls.send` gives for a call that failed for good.
const FAILED: jint = -2;

/// Has the engine take these bytes.
unsafe fn send(env: *mut JNIEnv, program: jobject, bytes: &[u8]) -> Option<jint> {
    // SAFETY: the helper's method, which takes an object and an array, gives an int and throws nothing.
    unsafe {
        let array = array_of(env, bytes)?;
        let arguments = [jvalue { l: program }, jvalue { l: array }];
        let taken = (**env).CallStaticIntMethodA?(
            env,
            CLASS.load(Ordering::Acquire).cast(),
            SEND.load(Ordering::Acquire).cast(),
            arguments.as_ptr(),
        );
        super::delete(env, array);
        Some(taken)
    }
}
