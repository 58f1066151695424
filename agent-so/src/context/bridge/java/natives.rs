//! The native methods of the helper class.

use super::super::{hands_in_for, set, set_in_turn, told};
use super::{clear, delete, tls};
use crate::conn::serving;
use crate::context::client;
use crate::export::record::Ref;
use crate::hooks::contain;
use crate::sys::thread::{self, CARRIER, SELECTS};
use agent_engine::context::TRACEPARENT_LEN;
use jni_sys::{JNIEnv, JNINativeMethod, jclass, jint, jlong, jmethodID, jobject, jvalue};
use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// Binds them. `None`: an exception is pending.
///
/// # Safety
/// `env` is the calling thread's, and `class` the helper class.
pub(super) unsafe fn bind(env: *mut JNIEnv, class: jclass) -> Option<()> {
    let method =
        |name: &'static CStr, signature: &'static CStr, function: *const ()| JNINativeMethod {
            name: name.as_ptr().cast_mut(),
            signature: signature.as_ptr().cast_mut(),
            fnPtr: function as *mut c_void,
        };
    let methods = [
        method(c"word", c"()J", word as *const ()),
        method(c"swap", c"(J)J", swap as *const ()),
        method(c"turn", c"()V", turn as *const ()),
        method(c"serves", c"()V", serves as *const ()),
        method(c"carrier", c"()V", carrier as *const ()),
        method(
            c"decorate",
            c"(Ljava/lang/Object;J)V",
            decorate as *const (),
        ),
        method(c"stream", c"(II)V", stream as *const ()),
        method(c"tell", c"(IIJ)V", tell as *const ()),
        method(
            c"handedOut",
            c"(J)Ljava/lang/String;",
            handed_out as *const (),
        ),
        method(c"follows", c"(JZ)Z", tls::follows as *const ()),
        method(c"shaken", c"(J[BZ)V", tls::shaken as *const ()),
        method(c"ended", c"(J)V", tls::ended as *const ()),
        method(c"failed", c"(JZ)V", tls::failed as *const ()),
        method(c"received", c"(J[BII)V", tls::received as *const ()),
        method(c"sent", c"(J[BI)V", tls::sent as *const ()),
        method(c"written", c"(J[BII)[B", tls::written as *const ()),
        method(
            c"wrap",
            c"(J[BILjava/lang/Object;)I",
            tls::wrap as *const (),
        ),
    ];
    // SAFETY: by the caller's promise; each function is what its signature says.
    let bound =
        unsafe { (**env).RegisterNatives?(env, class, methods.as_ptr(), methods.len() as i32) };
    (bound == 0).then_some(())
}

unsafe extern "C" fn word(_: *mut JNIEnv, _: jclass) -> jlong {
    contain(hands_in_for).unwrap_or(Ref::NOBODY).0 as jlong
}

unsafe extern "C" fn swap(_: *mut JNIEnv, _: jclass, context: jlong) -> jlong {
    set(Ref(context as u64)).0 as jlong
}

unsafe extern "C" fn turn(_: *mut JNIEnv, _: jclass) {
    thread::current().set(SELECTS);
    set(Ref::NOBODY);
}

unsafe extern "C" fn serves(_: *mut JNIEnv, _: jclass) {
    thread::current().clear(SELECTS);
}

unsafe extern "C" fn carrier(_: *mut JNIEnv, _: jclass) {
    thread::current().set(CARRIER);
}

/// On other threads than a selector's nothing says when the stream's turn is over.
unsafe extern "C" fn stream(_: *mut JNIEnv, _: jclass, fd: jint, stream: jint) {
    contain(|| {
        if !thread::current().has(SELECTS) {
            return;
        }
        match (fd, u32::try_from(stream)) {
            (0.., Ok(stream)) => set_in_turn(serving::on_stream(fd, stream)),
            _ => {
                set(Ref::NOBODY);
            }
        }
    });
}

unsafe extern "C" fn tell(_: *mut JNIEnv, _: jclass, fd: jint, place: jint, context: jlong) {
    contain(|| told::tell(fd, place.cast_unsigned(), Ref(context as u64)));
}

unsafe extern "C" fn handed_out(env: *mut JNIEnv, _: jclass, context: jlong) -> jobject {
    let text = contain(|| {
        let value = client::hand_out(Ref(context as u64))?;
        // SAFETY: the caller's environment.
        unsafe { text(env, &value) }
    });
    text.flatten().unwrap_or(std::ptr::null_mut())
}

/// A header's value as a string of Java's.
unsafe fn text(env: *mut JNIEnv, value: &[u8; TRACEPARENT_LEN]) -> Option<jobject> {
    let mut text = [0u8; TRACEPARENT_LEN + 1];
    text[..TRACEPARENT_LEN].copy_from_slice(value);
    // SAFETY: the caller's environment; the string ends with NUL.
    Some(unsafe { (**env).NewStringUTF?(env, text.as_ptr().cast()) })
}

/// Methods of `java.net.http`, looked up once.
static HEADERS: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static FIRST_VALUE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static IS_PRESENT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static BUILDER: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static SET_HEADER: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Calls a method of an object's that gives an object; `None` where it has none of that name, or threw.
unsafe fn call(
    env: *mut JNIEnv,
    object: jobject,
    (slot, name, signature): (&AtomicPtr<c_void>, &CStr, &CStr),
    arguments: &[jvalue],
) -> Option<jobject> {
    // SAFETY: by the caller's promise the object has the class for which the slot is; the arguments are what the signature
    // says; exceptions are looked for.
    unsafe {
        let functions = &**env;
        let method = lookup(env, object, slot, name, signature)?;
        let result = functions.CallObjectMethodA?(env, object, method, arguments.as_ptr());
        (functions.ExceptionCheck?(env) == 0).then_some(result)
    }
}

unsafe fn lookup(
    env: *mut JNIEnv,
    object: jobject,
    slot: &AtomicPtr<c_void>,
    name: &CStr,
    signature: &CStr,
) -> Option<jmethodID> {
    let known = slot.load(Ordering::Acquire);
    if !known.is_null() {
        return Some(known.cast());
    }
    // SAFETY: as for `call`.
    let method = unsafe {
        let functions = &**env;
        let class = functions.GetObjectClass?(env, object);
        let method = functions.GetMethodID?(env, class, name.as_ptr(), signature.as_ptr());
        delete(env, class);
        method
    };
    if method.is_null() {
        return None;
    }
    slot.store(method.cast(), Ordering::Release);
    Some(method)
}

unsafe extern "C" fn decorate(env: *mut JNIEnv, _: jclass, request: jobject, context: jlong) {
    contain(|| {
        let value = client::hand_out(Ref(context as u64))?;
        // SAFETY: the environment and the request are the caller's: a jdk.internal.net.http.HttpRequestImpl.
        let done = unsafe { put_header(env, request, &value) };
        if done.is_none() {
            // SAFETY: the caller's environment; what was thrown is ours.
            unsafe { clear(env) };
        }
        done
    });
}

/// Puts a `traceparent` into the headers of the machine's own of a request that has none of the program's.
unsafe fn put_header(
    env: *mut JNIEnv,
    request: jobject,
    value: &[u8; TRACEPARENT_LEN],
) -> Option<()> {
    // SAFETY: the environment's functions, on objects of the classes that have these methods since Java 11; strings end with NUL.
    unsafe {
        let functions = &**env;
        let string = functions.NewStringUTF?;
        let name = jvalue {
            l: string(env, c"traceparent".as_ptr()),
        };
        let value = jvalue {
            l: text(env, value)?,
        };
        let headers = call(
            env,
            request,
            (&HEADERS, c"headers", c"()Ljava/net/http/HttpHeaders;"),
            &[],
        )?;
        let first = call(
            env,
            headers,
            (
                &FIRST_VALUE,
                c"firstValue",
                c"(Ljava/lang/String;)Ljava/util/Optional;",
            ),
            &[name],
        )?;
        let is_present = lookup(env, first, &IS_PRESENT, c"isPresent", c"()Z")?;
        if functions.CallBooleanMethodA?(env, first, is_present, std::ptr::null()) != 0 {
            return Some(());
        }
        let builder = call(
            env,
            request,
            (
                &BUILDER,
                c"getSystemHeadersBuilder",
                c"()Ljdk/internal/net/http/common/HttpHeadersBuilder;",
            ),
            &[],
        )?;
        let set = lookup(
            env,
            builder,
            &SET_HEADER,
            c"setHeader",
            c"(Ljava/lang/String;Ljava/lang/String;)V",
        )?;
        functions.CallVoidMethodA?(env, builder, set, [name, value].as_ptr());
        (functions.ExceptionCheck?(env) == 0).then_some(())
    }
}
