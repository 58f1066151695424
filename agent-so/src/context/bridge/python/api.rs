//! The part of CPython's C API that the bridge calls, looked up in the running interpreter. All of it has been there, the same,
//! from 3.8 to 3.14.
//!
//! The functions are declared to unwind: a thread that waits for the interpreter while that ends is ended by `pthread_exit` (to
//! 3.13), from inside a hook as well as from the interpreter's own code right after it.

use crate::hooks::real;
use std::ffi::{CStr, c_char, c_int, c_ulonglong, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// A reference to any Python object.
pub(super) type Object = *mut c_void;

/// A function in C that Python calls without arguments, with one, or with a tuple of them (`PyMethodDef`).
#[repr(C)]
pub(super) struct Method {
    pub(super) name: *const c_char,
    pub(super) function: unsafe extern "C" fn(Object, Object) -> Object,
    pub(super) flags: c_int,
    pub(super) doc: *const c_char,
}

// SAFETY: two pointers to constants.
unsafe impl Sync for Method {}

/// `METH_VARARGS`.
pub(super) const ARGUMENTS: c_int = 1;
/// `METH_NOARGS`.
pub(super) const NO_ARGUMENTS: c_int = 4;
/// `METH_O`.
pub(super) const ONE_ARGUMENT: c_int = 8;

macro_rules! functions {
    ($($name:ident = $symbol:literal $(or $other:literal)? ($($arg:ident: $ty:ty),*) $(-> $ret:ty)?;)*) => {
        $(
            #[doc = concat!("`", $symbol, "`.")]
            ///
            /// # Safety
            /// The C contract of the function, after [`resolve`] succeeded.
            pub(super) unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
                let f = slots::$name.load(Ordering::Relaxed);
                // SAFETY: `resolve` has stored the function of that name, whose type this is.
                let f = unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn($($ty),*) $(-> $ret)?>(f) };
                // SAFETY: by the caller's promise.
                unsafe { f($($arg),*) }
            }
        )*
        #[expect(non_upper_case_globals, reason = "slots are named after their functions")]
        mod slots {
            use super::*;
            $(pub(super) static $name: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());)*
        }
        /// Looks all functions up; gives the first that is missing.
        pub(super) fn resolve() -> Result<(), &'static str> {
            let scope = scope().ok_or("Py_IsInitialized")?;
            $({
                let found = find(scope, concat!($symbol, "\0"));
                $(let found = if found.is_null() { find(scope, concat!($other, "\0")) } else { found };)?
                if found.is_null() {
                    return Err($symbol);
                }
                slots::$name.store(found, Ordering::Relaxed);
            })*
            Ok(())
        }
    };
}

functions! {
    version = "Py_GetVersion"() -> *const c_char;
    is_initialized = "Py_IsInitialized"() -> c_int;
    is_finalizing = "Py_IsFinalizing" or "_Py_IsFinalizing"() -> c_int;
    at_exit = "Py_AtExit"(f: extern "C" fn()) -> c_int;
    interpreters = "PyInterpreterState_Head"() -> *mut c_void;
    main_interpreter = "PyInterpreterState_Main"() -> *mut c_void;
    thread_state = "PyGILState_GetThisThreadState"() -> *mut c_void;
    ensure = "PyGILState_Ensure"() -> c_int;
    release = "PyGILState_Release"(state: c_int);
    error_fetch = "PyErr_Fetch"(kind: *mut Object, value: *mut Object, trace: *mut Object);
    error_restore = "PyErr_Restore"(kind: Object, value: Object, trace: Object);
    error_occurred = "PyErr_Occurred"() -> Object;
    error_clear = "PyErr_Clear"();
    inc_ref = "Py_IncRef"(object: Object);
    dec_ref = "Py_DecRef"(object: Object);
    text_from = "PyUnicode_FromStringAndSize"(text: *const c_char, len: isize) -> Object;
    text_of = "PyUnicode_AsUTF8AndSize"(object: Object, len: *mut isize) -> *const c_char;
    long_from = "PyLong_FromUnsignedLongLong"(value: c_ulonglong) -> Object;
    long_as = "PyLong_AsUnsignedLongLong"(object: Object) -> c_ulonglong;
    var_new = "PyContextVar_New"(name: *const c_char, default: Object) -> Object;
    var_get = "PyContextVar_Get"(var: Object, default: Object, value: *mut Object) -> c_int;
    var_set = "PyContextVar_Set"(var: Object, value: Object) -> Object;
    function_new = "PyCFunction_NewEx"(method: *const Method, this: Object, module: Object) -> Object;
    var_reset = "PyContextVar_Reset"(var: Object, token: Object) -> c_int;
    context_enter = "PyContext_Enter"(context: Object) -> c_int;
    context_exit = "PyContext_Exit"(context: Object) -> c_int;
    context_copy = "PyContext_CopyCurrent"() -> Object;
    tuple_get = "PyTuple_GetItem"(tuple: Object, at: isize) -> Object;
    builtins = "PyEval_GetBuiltins"() -> Object;
    modules = "PyImport_GetModuleDict"() -> Object;
    dict_new = "PyDict_New"() -> Object;
    dict_size = "PyDict_Size"(dict: Object) -> isize;
    dict_get = "PyDict_GetItemString"(dict: Object, key: *const c_char) -> Object;
    dict_set = "PyDict_SetItemString"(dict: Object, key: *const c_char, value: Object) -> c_int;
    compile = "Py_CompileString"(text: *const c_char, file: *const c_char, start: c_int) -> Object;
    call = "PyObject_CallObject"(function: Object, arguments: Object) -> Object;
    evaluate = "PyEval_EvalCode"(code: Object, globals: Object, locals: Object) -> Object;
}

/// Where the interpreter that was loaded late, for itself, is found: an address in it.
pub(super) static LATE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Whether the program or a library that it was linked with is an interpreter.
pub(super) fn is_linked() -> bool {
    !find(libc::RTLD_DEFAULT, "Py_IsInitialized\0").is_null()
}

/// A handle in which the interpreter's symbols are found.
fn scope() -> Option<*mut c_void> {
    if is_linked() {
        return Some(libc::RTLD_DEFAULT);
    }
    let late = LATE.load(Ordering::Acquire);
    // SAFETY: a Dl_info of zeros is a valid value to be overwritten.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked about.
    let known = unsafe { libc::dladdr(late, &raw mut info) } != 0;
    if late.is_null() || !known || info.dli_fname.is_null() {
        return None;
    }
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD;
    // Not dlopen: in here that is our own hook.
    // SAFETY: the name of a loaded object; RTLD_NOLOAD only finds what is loaded already.
    let handle = unsafe { libc::dlmopen(libc::LM_ID_BASE, info.dli_fname, flags) };
    (!handle.is_null()).then_some(handle)
}

fn find(scope: *mut c_void, name: &str) -> *mut c_void {
    let Ok(name) = CStr::from_bytes_with_nul(name.as_bytes()) else {
        return std::ptr::null_mut();
    };
    // SAFETY: a handle of the linker's and a NUL-terminated name.
    let found = unsafe { libc::dlsym(scope, name.as_ptr()) };
    if real::is_ours(found) {
        return std::ptr::null_mut();
    }
    found
}
