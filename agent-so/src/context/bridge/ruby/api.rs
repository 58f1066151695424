//! The functions of Ruby's C interface that are used, each as it is from 2.7 to 3.4.

use crate::hooks::tls::{address, function, helper, slots};
use crate::patch::{COPIES, Helper, Originals};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::atomic::AtomicPtr;

/// `VALUE`: a reference to an object, or a small integer with the lowest bit set.
pub(super) type Value = usize;
/// `ID`: an interned name.
pub(super) type Id = usize;
/// What is called at an event: which, our data, and what the event is about.
pub(super) type Listener = unsafe extern "C" fn(c_uint, Value, Value, Id, Value);
/// A thread of Ruby's begins; a fiber is switched to.
pub(super) const THREAD_BEGIN: c_uint = 0x0400;
pub(super) const FIBER_SWITCH: c_uint = 0x1000;

macro_rules! functions {
    ($($slot:ident $name:ident($($arg:ty),*) -> $ret:ty;)*) => {
        slots! { $($slot)* EXT_RACTOR_SAFE }

        pub(super) static HELPERS: &[Helper] = &[
            $(helper(stringify!($name), &$slot),)*
            helper("rb_ext_ractor_safe", &EXT_RACTOR_SAFE),
        ];

        pub(super) struct Api {
            $(pub(super) $name: unsafe extern "C" fn($($arg),*) -> $ret,)*
            /// Since 3.0.
            pub(super) rb_ext_ractor_safe: Option<unsafe extern "C" fn(bool)>,
        }

        impl Api {
            /// Those of a copy, if it has all that are needed.
            pub(super) fn of(copy: usize) -> Option<Self> {
                Some(Self {
                    $($name: function!($slot, copy, fn($($arg),*) -> $ret)?,)*
                    rb_ext_ractor_safe: function!(EXT_RACTOR_SAFE, copy, fn(bool) -> ()),
                })
            }
        }
    };
}

functions! {
    EXECUTABLE_NODE ruby_executable_node(*mut c_void, *mut c_int) -> c_int;
    PROTECT rb_protect(unsafe extern "C" fn(Value) -> Value, Value, *mut c_int) -> Value;
    ERRINFO rb_errinfo() -> Value;
    SET_ERRINFO rb_set_errinfo(Value) -> ();
    MODULE_NEW rb_module_new() -> Value;
    DEFINE_MODULE_FUNCTION rb_define_module_function(Value, *const c_char, *const c_void, c_int) -> ();
    MODULE_EVAL rb_mod_module_eval(c_int, *const Value, Value) -> Value;
    STRING_PTR rb_string_value_ptr(*mut Value) -> *const c_char;
    STR_NEW rb_utf8_str_new_cstr(*const c_char) -> Value;
    INTERN rb_intern(*const c_char) -> Id;
    IVAR_SET rb_ivar_set(Value, Id, Value) -> Value;
    ATTR_GET rb_attr_get(Value, Id) -> Value;
    THREAD_CURRENT rb_thread_current() -> Value;
    FIBER_CURRENT rb_fiber_current() -> Value;
    ADD_EVENT_HOOK rb_add_event_hook(Listener, c_uint, Value) -> ();
}
