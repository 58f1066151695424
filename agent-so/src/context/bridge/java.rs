//! The Java bridge: contexts that follow tasks through executors, futures, timers and virtual threads.
//!
//! The function that creates a virtual machine is replaced (`patch`), so nothing is put into the environment or the
//! command line, and nothing is printed. When the machine stands, before its program's first class, a few classes of the
//! JDK are changed (`rules`) to call the helper classes in `assets/java`, which keep the contexts of tasks that wait. A task
//! works for what its submitter worked for, until it reads a request itself; and a selector's thread for nobody at each
//! descriptor that is ready, until it reads one. What a selector's thread sends has no parent for all that: pools of connections
//! send there what another request has waited to send. What runs on a virtual thread is asked for when it is needed, as virtual threads
//! change native ones.
//!
//! Requests of `java.net.http` are written by whichever thread can, so they carry the span id of the server request, in a
//! `traceparent` of the machine's own headers, to where they are written (`context::client` puts in their own). So do calls of gRPC and
//! requests of OkHttp's HTTP/2. What goes out as HTTP/2 without one is nobody's: such connections have the requests of many, and any
//! thread may write what others have left in their buffers.
//!
//! Cost: two calls into native code a task, and for tasks handed in while a request is served two looks into a hash table.

mod jvmti;
mod natives;
mod rules;
mod tls;

use super::{Bridge, Read};
use crate::export::record::Ref;
use crate::hooks::contain;
use crate::hooks::tls::hook;
use crate::patch::{COPIES, Family, Hook, Originals};
use crate::settings;
use crate::sys::log;
use crate::sys::thread::{self, CARRIER, SELECTS};
use agent_engine::classfile;
use agent_engine::config::LogLevel;
use agent_engine::config::instrumentation::Instrumentation;
use jni_sys::{
    JNI_OK, JNI_VERSION_1_6, JNIEnv, JavaVM, jclass, jint, jlong, jmethodID, jobject, jvalue,
};
use jvmti::{Environment, Jvmti, Refused};
use std::ffi::{CStr, c_char, c_uchar, c_void};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// What the patcher looks for. A library made by GraalVM's native-image is found too, and has no tool interface.
static FAMILY: Family = Family {
    name: "Java",
    marks: &["JNI_CreateJavaVM"],
    hooks: &[hook!("JNI_CreateJavaVM", create, CREATE)],
    helpers: &[],
    begun: |_| {},
    gone: |_| {},
};

/// What the patcher is to look for, by the settings. Called once, in the constructor.
pub(crate) fn wanted() -> Option<&'static Family> {
    let on = settings::get().config.instrumentations;
    let any = [Instrumentation::Java, Instrumentation::Jsse];
    any.iter()
        .any(|which| on.is_enabled(*which))
        .then_some(&FAMILY)
}

static CREATE: Originals = [const { AtomicPtr::new(std::ptr::null_mut()) }; COPIES];

macro_rules! helpers {
    ($($package:literal $name:literal,)*) => {
        [$((
            concat!($package, $name, "\0"),
            include_bytes!(concat!("assets/java/classes/", $name, ".class")).as_slice(),
        ),)*]
    };
}

/// The helper classes, in the order in which they can be defined.
const HELPERS: [(&str, &[u8]); 23] = helpers![
    "otelrun/" "Agent",
    "java/util/concurrent/" "OtelRun",
    "java/util/concurrent/" "OtelRun$1",
    "java/util/concurrent/" "OtelRunTls",
    "java/util/concurrent/" "OtelRunTable$Entry",
    "java/util/concurrent/" "OtelRunTable",
    "java/util/concurrent/" "OtelRunTasks",
    "java/util/concurrent/" "OtelRunStreams",
    "java/util/concurrent/" "OtelRunStreams$1",
    "java/util/concurrent/" "OtelRunStreams$2",
    "java/util/concurrent/" "OtelRunStreams$Headers",
    "java/util/concurrent/" "OtelRunStreams$Headers$1",
    "java/util/concurrent/" "OtelRunStreams$Methods",
    "java/util/concurrent/" "OtelRunCommands",
    "java/util/concurrent/" "OtelRunCommands$1",
    "java/util/concurrent/" "OtelRunCommands$Frames",
    "java/util/concurrent/" "OtelRunCommands$Frames$1",
    "java/util/concurrent/" "OtelRunOkHttp",
    "java/util/concurrent/" "OtelRunOkHttp$Fields",
    "java/util/concurrent/" "OtelRunOkHttp$Fields$1",
    "java/util/concurrent/" "OtelRunTls$1",
    "java/util/concurrent/" "OtelRunTls$Owner",
    "java/util/concurrent/" "OtelRunTls$Wrap",
];

/// The virtual machine; there is one in a process, ever.
static MACHINE: AtomicPtr<JavaVM> = AtomicPtr::new(std::ptr::null_mut());
/// A global reference to the helper class, and methods of it.
static HELPER: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static READ_METHOD: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static ASKED_METHOD: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
/// A class has not the methods without which the bridge would tell wrong things.
static UNFIT: AtomicBool = AtomicBool::new(false);

static BRIDGE: Bridge = Bridge {
    server_read,
    accepted: |_| {},
    handshake: || {},
    ask,
    loading: |_| {},
};

unsafe extern "C" fn create<const COPY: usize>(
    machine: *mut *mut JavaVM,
    environment: *mut *mut c_void,
    arguments: *mut c_void,
) -> jint {
    type Create = unsafe extern "C" fn(*mut *mut JavaVM, *mut *mut c_void, *mut c_void) -> jint;
    let real = CREATE[COPY].load(Ordering::Acquire);
    // SAFETY: published before the replacement can be called, and of this type.
    let real = unsafe { std::mem::transmute::<*mut c_void, Create>(real) };
    // SAFETY: the program's own call.
    let result = unsafe { real(machine, environment, arguments) };
    if result == JNI_OK {
        contain(|| {
            // SAFETY: the call has just set both, and attached the calling thread.
            let begun = unsafe { begin(*machine, (*environment).cast()) };
            if let Err((what, error)) = begun {
                log::line(
                    LogLevel::Info,
                    format_args!("Java's tasks are not followed: {what}: error {error}"),
                );
            }
        });
    }
    result
}

/// Sets the bridge up in a machine that was just created. What fails leaves it as it was.
///
/// # Safety
/// The calling thread is attached to the machine, and `env` is its environment.
unsafe fn begin(machine: *mut JavaVM, env: *mut JNIEnv) -> Result<(), Refused> {
    // SAFETY: by the caller's promise.
    let jvmti = unsafe { Jvmti::of(machine) }?;
    // SAFETY: by the caller's promise.
    let done = jvmti
        .prepare(class_file)
        .and_then(|()| unsafe { define(env, jvmti) })
        .and_then(|()| jvmti.listen(true))
        .and_then(|()| {
            // SAFETY: by the caller's promise.
            unsafe { expect_references(env) };
            let loaded = jvmti.loaded(|name| rules_for(name).is_some())?;
            let done = jvmti.retransform(&loaded);
            for class in loaded {
                // SAFETY: a local reference of this thread's.
                unsafe { delete(env, class) };
            }
            done
        })
        .and_then(|()| match UNFIT.load(Ordering::Acquire) {
            true => Err(("this version of Java is not known", 0)),
            false => Ok(()),
        });
    if done.is_err() {
        // SAFETY: by the caller's promise; an exception that is pending is ours.
        unsafe { clear(env) };
        UNFIT.store(true, Ordering::Release);
        if let Ok(loaded) = jvmti.loaded(|name| rules_for(name).is_some()) {
            // The files pass unchanged now.
            let _ = jvmti.retransform(&loaded);
        }
        jvmti.dispose();
        return done;
    }
    MACHINE.store(machine, Ordering::Release);
    if settings::get()
        .config
        .instrumentations
        .is_enabled(Instrumentation::Java)
    {
        super::install(&BRIDGE);
        super::tell_http2_by_headers();
    }
    Ok(())
}

/// Defines the helper classes and binds their native methods.
///
/// # Safety
/// As for [`begin`].
unsafe fn define(env: *mut JNIEnv, jvmti: Jvmti) -> Result<(), Refused> {
    const FAILED: Refused = ("the helper classes", 0);
    let mut classes: [jclass; HELPERS.len()] = [std::ptr::null_mut(); HELPERS.len()];
    // SAFETY: the environment's functions, called as specified: names end with NUL, class files of the length that is told, and
    // after each call that can throw the exception is looked for by its result.
    unsafe {
        let functions = &**env;
        let define = functions.DefineClass.ok_or(FAILED)?;
        for ((name, file), class) in HELPERS.iter().zip(&mut classes) {
            *class = define(
                env,
                name.as_ptr().cast(),
                std::ptr::null_mut(),
                file.as_ptr().cast(),
                file.len() as jint,
            );
            if class.is_null() {
                return Err(FAILED);
            }
        }
        let [agent, helper, _, tls, ..] = classes;
        natives::bind(env, agent).ok_or(FAILED)?;
        if let Some((ours, of_jdk)) = modules(env, agent, helper) {
            jvmti.add_reads(of_jdk, ours)?;
        }
        let method = functions.GetStaticMethodID.ok_or(FAILED)?;
        // This also runs its initializer.
        let read = method(env, helper, c"read".as_ptr(), c"(J)Z".as_ptr());
        let asked = method(env, helper, c"asked".as_ptr(), c"()J".as_ptr());
        let global = functions.NewGlobalRef.ok_or(FAILED)?(env, helper);
        let signature = c"(Ljava/lang/Object;[B)I".as_ptr();
        let send = method(env, tls, c"send".as_ptr(), signature);
        let global_tls = functions.NewGlobalRef.ok_or(FAILED)?(env, tls);
        if [read, asked, send].iter().any(|m| m.is_null())
            || global.is_null()
            || global_tls.is_null()
        {
            return Err(FAILED);
        }
        tls::SEND.store(send.cast(), Ordering::Release);
        tls::CLASS.store(global_tls.cast(), Ordering::Release);
        READ_METHOD.store(read.cast(), Ordering::Release);
        ASKED_METHOD.store(asked.cast(), Ordering::Release);
        HELPER.store(global.cast(), Ordering::Release);
        for class in classes {
            delete(env, class);
        }
    }
    Ok(())
}

/// The modules of two classes, where there are modules (Java 9).
///
/// # Safety
/// `env` is the calling thread's.
unsafe fn modules(env: *mut JNIEnv, one: jclass, other: jclass) -> Option<(jobject, jobject)> {
    // SAFETY: the environment's functions, as specified: where there is no such method the exception is taken back.
    unsafe {
        let functions = &**env;
        let class = functions.GetObjectClass?(env, one);
        let get = functions.GetMethodID?(
            env,
            class,
            c"getModule".as_ptr(),
            c"()Ljava/lang/Module;".as_ptr(),
        );
        if get.is_null() {
            clear(env);
            return None;
        }
        let check = functions.ExceptionCheck?;
        let call = functions.CallObjectMethodA?;
        let module = |of| {
            let module = call(env, of, get, std::ptr::null());
            (check(env) == 0).then_some(module)
        };
        Some((module(one)?, module(other)?))
    }
}

/// Says that all loaded classes will be referred to: `-Xcheck:jni` complains of more references than were announced.
unsafe fn expect_references(env: *mut JNIEnv) {
    const MANY: jint = 60_000;
    // SAFETY: the caller's environment.
    unsafe {
        if let Some(ensure) = (**env).EnsureLocalCapacity {
            ensure(env, MANY);
        }
    }
}

unsafe fn delete(env: *mut JNIEnv, reference: jobject) {
    // SAFETY: the caller's environment and a reference of its own.
    unsafe {
        if let Some(delete) = (**env).DeleteLocalRef {
            delete(env, reference);
        }
    }
}

/// Takes an exception of ours back.
unsafe fn clear(env: *mut JNIEnv) {
    // SAFETY: the caller's environment.
    unsafe {
        if let Some(clear) = (**env).ExceptionClear {
            clear(env);
        }
    }
}

/// The rules for a class, if what they are for is on.
fn rules_for(name: &[u8]) -> Option<&'static rules::Class> {
    let on = settings::get().config.instrumentations;
    rules::of(name).filter(|class| on.is_enabled(class.instrumentation()))
}

/// A class file is about to be used.
unsafe extern "C" fn class_file(
    environment: *mut Environment,
    _: *mut JNIEnv,
    _: jclass,
    _: jobject,
    name: *const c_char,
    _: jobject,
    len: jint,
    file: *const c_uchar,
    new_len: *mut jint,
    new_file: *mut *mut c_uchar,
) {
    if name.is_null() || UNFIT.load(Ordering::Acquire) {
        return;
    }
    contain(|| {
        // SAFETY: a string, as specified.
        let class = rules_for(unsafe { CStr::from_ptr(name) }.to_bytes())?;
        // SAFETY: a file of this length, as specified.
        let file = unsafe { std::slice::from_raw_parts(file, len as usize) };
        let changed = classfile::change(file, class.helper, class.rules);
        if class.required && changed.as_ref().is_none_or(|(_, found)| found.contains(&0)) {
            UNFIT.store(true, Ordering::Release);
            log::line(
                LogLevel::Info,
                format_args!("{}: not as it is known", class.name),
            );
            return None;
        }
        let (bytes, found) = changed?;
        let room = Jvmti::from(environment).allocate(&bytes)?;
        // SAFETY: the places for the result, as specified.
        unsafe {
            *new_len = bytes.len() as jint;
            *new_file = room;
        }
        log::line(
            LogLevel::Debug,
            format_args!("{}: {found:?} changes", class.name),
        );
        Some(())
    });
}

/// The calling thread's environment, the helper class and one of its methods, if Java can be called: the thread is attached, and no exception
/// is on its way.
fn callable(method: &AtomicPtr<c_void>) -> Option<(*mut JNIEnv, jclass, jmethodID)> {
    let machine = MACHINE.load(Ordering::Acquire);
    if machine.is_null() {
        return None;
    }
    let mut env = std::ptr::null_mut();
    // SAFETY: the machine was created and is never destroyed for good; the result goes to a local.
    unsafe {
        let got = (**machine).GetEnv?(machine, &raw mut env, JNI_VERSION_1_6);
        let env: *mut JNIEnv = env.cast();
        if got != JNI_OK || (**env).ExceptionCheck?(env) != 0 {
            return None;
        }
        Some((
            env,
            HELPER.load(Ordering::Acquire).cast(),
            method.load(Ordering::Acquire).cast(),
        ))
    }
}

/// The request is for the task that the thread runs, or until the next descriptor is ready. On a thread of which no task was
/// seen nothing would say when its work for the request is over: there the rules hold.
///
/// A thread that virtual threads run on is in native code, which a virtual thread has called: it can call Java.
fn server_read(read: &Read) {
    let reference = read.request;
    if reference == Ref::default() {
        return;
    }
    if thread::current().has(CARRIER)
        && let Some((env, class, read)) = callable(&READ_METHOD)
    {
        let argument = jvalue {
            j: reference.0 as jlong,
        };
        // SAFETY: the helper's method, which takes a long, gives a boolean and throws nothing.
        let virtual_thread = unsafe {
            (**env)
                .CallStaticBooleanMethodA
                .is_some_and(|call| call(env, class, read, &raw const argument) != 0)
        };
        if virtual_thread {
            return;
        }
    }
    let thread = thread::current();
    if thread.has(SELECTS) {
        super::set_in_turn(reference);
    } else if thread.current.get() != 0 {
        super::set(reference);
    }
}

fn ask() {
    if thread::current().has(CARRIER)
        && let Some((env, class, asked)) = callable(&ASKED_METHOD)
    {
        // SAFETY: the helper's method, which takes nothing, gives a long and throws nothing.
        let context = unsafe {
            (**env)
                .CallStaticLongMethodA
                .map_or(0, |call| call(env, class, asked, std::ptr::null()))
        };
        if context != 0 {
            super::set(Ref(context as u64));
        }
    }
}
