//! The part of the JVM Tool Interface that the bridge uses. The numbers are those of the specification.

use jni_sys::{JNIEnv, JavaVM, jclass, jint, jlong, jobject};
use std::ffi::{CStr, c_char, c_uchar, c_void};

/// JVMTI 1.2 (Java 6), which every later version gives.
const VERSION: jint = 0x3001_0200;

const SET_EVENT_NOTIFICATION_MODE: usize = 2;
const ALLOCATE: usize = 46;
const DEALLOCATE: usize = 47;
const GET_CLASS_SIGNATURE: usize = 48;
const GET_LOADED_CLASSES: usize = 78;
const ADD_MODULE_READS: usize = 94;
const SET_EVENT_CALLBACKS: usize = 122;
const DISPOSE_ENVIRONMENT: usize = 127;
const ADD_CAPABILITIES: usize = 142;
const RETRANSFORM_CLASSES: usize = 152;

const CLASS_FILE_LOAD_HOOK: usize = 54;
/// Events before the first one, in the table of callbacks.
const FIRST_EVENT: usize = 50;
const ENABLE: jint = 1;
const DISABLE: jint = 0;

/// Bits of `jvmtiCapabilities`, from its first word on.
const CAN_RETRANSFORM_CLASSES: u32 = 37;

/// What is called with each class file.
pub(super) type LoadHook = unsafe extern "C" fn(
    *mut Environment,
    *mut JNIEnv,
    jclass,
    jobject,
    *const c_char,
    jobject,
    jint,
    *const c_uchar,
    *mut jint,
    *mut *mut c_uchar,
);

type Table = [*const c_void; RETRANSFORM_CLASSES];

/// `jvmtiEnv`.
#[repr(C)]
pub(super) struct Environment {
    functions: *const Table,
}

/// An environment of the tool interface.
#[derive(Clone, Copy)]
pub(super) struct Jvmti(*mut Environment);

/// Why something could not be had: what was asked for, and the interface's error number.
pub(super) type Refused = (&'static str, jint);

/// The function of this number, of this type.
macro_rules! function {
    ($jvmti:expr, $number:expr, fn($($arg:ty),*)) => {{
        // SAFETY: the environment's table is complete, and this is the type of the function with this number.
        unsafe {
            let at = (*(*$jvmti.0).functions)[$number - 1];
            std::mem::transmute::<*const c_void, unsafe extern "C" fn(*mut Environment, $($arg),*) -> jint>(at)
        }
    }};
}

fn done(what: &'static str, error: jint) -> Result<(), Refused> {
    if error == 0 {
        Ok(())
    } else {
        Err((what, error))
    }
}

impl Jvmti {
    /// An environment of our own.
    ///
    /// # Safety
    /// `vm` is a virtual machine that was created, and the calling thread is attached to it.
    pub(super) unsafe fn of(vm: *mut JavaVM) -> Result<Self, Refused> {
        let mut at = std::ptr::null_mut();
        // SAFETY: by the caller's promise; the result goes to a local.
        let error = unsafe {
            match (**vm).GetEnv {
                Some(get) => get(vm, &raw mut at, VERSION),
                None => -1,
            }
        };
        done("a tool environment", error)?;
        Ok(Self(at.cast()))
    }

    /// For a callback, which is told its environment.
    pub(super) fn from(environment: *mut Environment) -> Self {
        Self(environment)
    }

    /// Asks for the right to change classes, and sets what is called with their files.
    pub(super) fn prepare(self, hook: LoadHook) -> Result<(), Refused> {
        let mut capabilities = [0u32; 4];
        capabilities[CAN_RETRANSFORM_CLASSES as usize / 32] |= 1 << (CAN_RETRANSFORM_CLASSES % 32);
        let add = function!(self, ADD_CAPABILITIES, fn(*const u32));
        // SAFETY: 128 bits, as specified.
        done("changing classes", unsafe {
            add(self.0, capabilities.as_ptr())
        })?;
        let mut callbacks = [std::ptr::null::<c_void>(); CLASS_FILE_LOAD_HOOK - FIRST_EVENT + 1];
        callbacks[CLASS_FILE_LOAD_HOOK - FIRST_EVENT] = hook as *const c_void;
        let set = function!(self, SET_EVENT_CALLBACKS, fn(*const c_void, jint));
        // SAFETY: a table of callbacks of the length that is told.
        done("callbacks", unsafe {
            set(
                self.0,
                callbacks.as_ptr().cast(),
                size_of_val(&callbacks) as jint,
            )
        })
    }

    /// Whether the callback is called.
    pub(super) fn listen(self, on: bool) -> Result<(), Refused> {
        let set = function!(self, SET_EVENT_NOTIFICATION_MODE, fn(jint, jint, jobject));
        let mode = if on { ENABLE } else { DISABLE };
        // SAFETY: a null thread stands for all.
        done("class files", unsafe {
            set(
                self.0,
                mode,
                CLASS_FILE_LOAD_HOOK as jint,
                std::ptr::null_mut(),
            )
        })
    }

    /// Memory for a changed class file, which the virtual machine gives back.
    pub(super) fn allocate(self, bytes: &[u8]) -> Option<*mut c_uchar> {
        let mut room = std::ptr::null_mut();
        let allocate = function!(self, ALLOCATE, fn(jlong, *mut *mut c_uchar));
        // SAFETY: the result goes to a local; so many bytes are written to the room of that size.
        unsafe {
            if allocate(self.0, bytes.len() as jlong, &raw mut room) != 0 || room.is_null() {
                return None;
            }
            room.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        Some(room)
    }

    fn deallocate(self, room: *mut c_void) {
        let deallocate = function!(self, DEALLOCATE, fn(*mut c_void));
        // SAFETY: memory that the interface gave, or null.
        unsafe { deallocate(self.0, room) };
    }

    /// The classes that are loaded and whose names are wanted. The references are the caller's to delete.
    pub(super) fn loaded(self, wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<jclass>, Refused> {
        let (mut count, mut classes) = (0, std::ptr::null_mut::<jclass>());
        let get = function!(self, GET_LOADED_CLASSES, fn(*mut jint, *mut *mut jclass));
        // SAFETY: the results go to locals.
        done("the loaded classes", unsafe {
            get(self.0, &raw mut count, &raw mut classes)
        })?;
        let mut found = Vec::new();
        for n in 0..count as usize {
            // SAFETY: the array has that many classes.
            let class = unsafe { *classes.add(n) };
            if self.named(class, &wanted) {
                found.push(class);
            }
        }
        self.deallocate(classes.cast());
        Ok(found)
    }

    fn named(self, class: jclass, wanted: &impl Fn(&[u8]) -> bool) -> bool {
        let mut signature = std::ptr::null_mut::<c_char>();
        let get = function!(
            self,
            GET_CLASS_SIGNATURE,
            fn(jclass, *mut *mut c_char, *mut *mut c_char)
        );
        // SAFETY: the result goes to a local, and nothing is asked for in the other place.
        if unsafe { get(self.0, class, &raw mut signature, std::ptr::null_mut()) } != 0 {
            return false;
        }
        // SAFETY: a string, which was just given.
        let text = unsafe { CStr::from_ptr(signature) }.to_bytes();
        let is = text
            .strip_prefix(b"L")
            .and_then(|rest| rest.strip_suffix(b";"))
            .is_some_and(wanted);
        self.deallocate(signature.cast());
        is
    }

    /// Lets the classes of one module use those of another. For Java 9 and later.
    pub(super) fn add_reads(self, of: jobject, other: jobject) -> Result<(), Refused> {
        let add = function!(self, ADD_MODULE_READS, fn(jobject, jobject));
        // SAFETY: references to modules.
        done("a module", unsafe { add(self.0, of, other) })
    }

    /// Has the files of loaded classes pass through the callback again.
    pub(super) fn retransform(self, classes: &[jclass]) -> Result<(), Refused> {
        let retransform = function!(self, RETRANSFORM_CLASSES, fn(jint, *const jclass));
        // SAFETY: so many references to classes.
        done("changing loaded classes", unsafe {
            retransform(self.0, classes.len() as jint, classes.as_ptr())
        })
    }

    /// Gives the environment up: its changes are gone when the classes are next changed.
    pub(super) fn dispose(self) {
        let dispose = function!(self, DISPOSE_ENVIRONMENT, fn());
        // SAFETY: the environment is not used again.
        unsafe { dispose(self.0) };
    }
}
