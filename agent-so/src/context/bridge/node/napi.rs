//! The module that the script loads, by Node-API.

use super::{TOLD, claimed, handed_out, matched, speaks, streamed, told, works_for};
use crate::conn::serving::TARGET;
use crate::export::record::ROUTE;
use crate::hooks::contain;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

type Env = *mut c_void;
type Value = *mut c_void;
type Info = *mut c_void;
type Callback = unsafe extern "C" fn(Env, Info) -> Value;

/// `napi_module`.
#[repr(C)]
struct Module {
    version: c_int,
    flags: c_uint,
    file: *const c_char,
    register: unsafe extern "C" fn(Env, Value) -> Value,
    name: *const c_char,
    private: *mut c_void,
    reserved: [*mut c_void; 4],
}

// SAFETY: constant strings, which node only reads.
unsafe impl Sync for Module {}

static MODULE: Module = Module {
    version: 1,
    flags: 0,
    file: c"otel-run".as_ptr(),
    register: begin,
    name: c"otel_run".as_ptr(),
    private: std::ptr::null_mut(),
    reserved: [std::ptr::null_mut(); 4],
};

macro_rules! api {
    ($($name:ident = $symbol:literal: $type:ty;)*) => {
        /// The functions of node's that are used. Each that returns something returns 0 when all is well.
        pub(super) struct Api {
            $($name: $type,)*
        }

        impl Api {
            /// Finds them in the program, if it is a node that is recent enough.
            pub(super) fn find() -> Option<Self> {
                symbol(RECENT)?;
                Some(Self {
                    // SAFETY: the function of this name has this type, by Node-API's promise of a stable ABI.
                    $($name: unsafe { std::mem::transmute::<*mut c_void, $type>(symbol($symbol)?) },)*
                })
            }
        }
    };
}

api! {
    module_register = c"napi_module_register": unsafe extern "C" fn(*const Module);
    create_function = c"napi_create_function":
        unsafe extern "C" fn(Env, *const c_char, usize, Callback, *mut c_void, *mut Value) -> c_int;
    set_named_property = c"napi_set_named_property":
        unsafe extern "C" fn(Env, Value, *const c_char, Value) -> c_int;
    get_cb_info = c"napi_get_cb_info":
        unsafe extern "C" fn(Env, Info, *mut usize, *mut Value, *mut Value, *mut *mut c_void) -> c_int;
    get_value_int32 = c"napi_get_value_int32": unsafe extern "C" fn(Env, Value, *mut i32) -> c_int;
    get_value_uint32 = c"napi_get_value_uint32": unsafe extern "C" fn(Env, Value, *mut u32) -> c_int;
    get_value_string_latin1 = c"napi_get_value_string_latin1":
        unsafe extern "C" fn(Env, Value, *mut c_char, usize, *mut usize) -> c_int;
    get_value_string_utf8 = c"napi_get_value_string_utf8":
        unsafe extern "C" fn(Env, Value, *mut c_char, usize, *mut usize) -> c_int;
    get_value_bigint_uint64 = c"napi_get_value_bigint_uint64":
        unsafe extern "C" fn(Env, Value, *mut u64, *mut bool) -> c_int;
    create_bigint_uint64 = c"napi_create_bigint_uint64":
        unsafe extern "C" fn(Env, u64, *mut Value) -> c_int;
    create_string_utf8 = c"napi_create_string_utf8":
        unsafe extern "C" fn(Env, *const c_char, usize, *mut Value) -> c_int;
}

static API: OnceLock<Api> = OnceLock::new();

/// A function that came with 18.18 and 20.4. From these on node has all that the script uses.
const RECENT: &CStr = c"node_api_create_external_string_latin1";

fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: a string; the program comes first in the default order.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// Makes the module one that is linked into node: what is registered before node starts counts as that.
pub(super) fn register(api: Api) {
    let api = API.get_or_init(|| api);
    // SAFETY: the module is static; registering only puts it in a list.
    unsafe { (api.module_register)(&raw const MODULE) };
}

/// Fills the module's exports, once a thread that runs the script.
unsafe extern "C" fn begin(env: Env, exports: Value) -> Value {
    let functions: [(&CStr, Callback); 7] = [
        (c"claim", claim),
        (c"hand_out", hand_out),
        (c"route", route),
        (c"set", set),
        (c"start", start),
        (c"stream", stream),
        (c"tell", tell),
    ];
    if let (Some(api), Some(told)) = (API.get(), TOLD.get()) {
        let mut value: Value = std::ptr::null_mut();
        for (name, function) in functions {
            // SAFETY: node's own functions with the handles that it gave us for this call.
            unsafe {
                let none = std::ptr::null_mut();
                if (api.create_function)(
                    env,
                    name.as_ptr(),
                    name.count_bytes(),
                    function,
                    none,
                    &raw mut value,
                ) == 0
                {
                    (api.set_named_property)(env, exports, name.as_ptr(), value);
                }
            }
        }
        for (name, text) in [(c"option", &told.option), (c"routers", &told.routers)] {
            // SAFETY: as above.
            unsafe {
                if (api.create_string_utf8)(env, text.as_ptr(), text.count_bytes(), &raw mut value)
                    == 0
                {
                    (api.set_named_property)(env, exports, name.as_ptr(), value);
                }
            }
        }
    }
    exports
}

/// The first arguments of a call; null where there are none (node gives `undefined`).
unsafe fn arguments<const N: usize>(api: &Api, env: Env, info: Info) -> [Value; N] {
    let mut values = [std::ptr::null_mut(); N];
    let mut count = N;
    let none = std::ptr::null_mut;
    // SAFETY: the handles of this call, and room for as many values as are asked for.
    unsafe {
        (api.get_cb_info)(
            env,
            info,
            &raw mut count,
            values.as_mut_ptr(),
            none(),
            none().cast(),
        )
    };
    values
}

unsafe extern "C" fn claim(env: Env, info: Info) -> Value {
    let mut result: Value = std::ptr::null_mut();
    let Some(api) = API.get() else { return result };
    let (mut fd, mut len, mut target) = (-1, 0, [0u8; TARGET + 1]);
    // SAFETY: node's own functions with the handles of this call; the room's size is told.
    unsafe {
        let [number, text] = arguments(api, env, info);
        (api.get_value_int32)(env, number, &raw mut fd);
        (api.get_value_string_latin1)(
            env,
            text,
            target.as_mut_ptr().cast(),
            target.len(),
            &raw mut len,
        );
    }
    if let Some(token) = contain(|| claimed(fd, &target[..len.min(TARGET)])).flatten() {
        // SAFETY: as above.
        unsafe { (api.create_bigint_uint64)(env, token, &raw mut result) };
    }
    result
}

unsafe extern "C" fn stream(env: Env, info: Info) -> Value {
    let mut result: Value = std::ptr::null_mut();
    let Some(api) = API.get() else { return result };
    let (mut fd, mut number) = (-1, 0);
    // SAFETY: node's own functions with the handles of this call.
    unsafe {
        let [descriptor, id] = arguments(api, env, info);
        (api.get_value_int32)(env, descriptor, &raw mut fd);
        (api.get_value_uint32)(env, id, &raw mut number);
    }
    if let Some(token) = contain(|| streamed(fd, number)).flatten() {
        // SAFETY: as above.
        unsafe { (api.create_bigint_uint64)(env, token, &raw mut result) };
    }
    result
}

unsafe extern "C" fn hand_out(env: Env, info: Info) -> Value {
    let mut result: Value = std::ptr::null_mut();
    let Some(api) = API.get() else { return result };
    let (mut token, mut exact) = (0, false);
    // SAFETY: node's own functions with the handles of this call.
    let is_token = unsafe {
        let [value] = arguments(api, env, info);
        (api.get_value_bigint_uint64)(env, value, &raw mut token, &raw mut exact) == 0
    };
    let handed = is_token
        .then(|| contain(|| handed_out(token)).flatten())
        .flatten();
    if let Some(text) = handed {
        // SAFETY: as above; the text's length is told.
        unsafe { (api.create_string_utf8)(env, text.as_ptr().cast(), text.len(), &raw mut result) };
    }
    result
}

unsafe extern "C" fn set(env: Env, info: Info) -> Value {
    if let Some(api) = API.get() {
        let (mut token, mut exact) = (0, false);
        // SAFETY: node's own functions with the handles of this call.
        let is_token = unsafe {
            let [value] = arguments(api, env, info);
            (api.get_value_bigint_uint64)(env, value, &raw mut token, &raw mut exact) == 0
        };
        contain(|| works_for((is_token && exact).then_some(token)));
    }
    std::ptr::null_mut()
}

unsafe extern "C" fn tell(env: Env, info: Info) -> Value {
    if let Some(api) = API.get() {
        let (mut fd, mut place, mut token, mut exact) = (-1, 0, 0, false);
        // SAFETY: node's own functions with the handles of this call.
        let (is_place, is_token) = unsafe {
            let [descriptor, number, value] = arguments(api, env, info);
            (api.get_value_int32)(env, descriptor, &raw mut fd);
            (
                (api.get_value_uint32)(env, number, &raw mut place) == 0,
                (api.get_value_bigint_uint64)(env, value, &raw mut token, &raw mut exact) == 0,
            )
        };
        if is_place {
            contain(|| told(fd, place, (is_token && exact).then_some(token)));
        }
    }
    std::ptr::null_mut()
}

unsafe extern "C" fn route(env: Env, info: Info) -> Value {
    if let Some(api) = API.get() {
        let (mut token, mut exact, mut len) = (0, false, 0);
        // One byte more than is taken shows what is too long; one is for the NUL.
        let mut template = [0u8; ROUTE + 2];
        // SAFETY: node's own functions with the handles of this call; the room's size is told.
        let is_token = unsafe {
            let [value, text] = arguments(api, env, info);
            (api.get_value_string_utf8)(
                env,
                text,
                template.as_mut_ptr().cast(),
                template.len(),
                &raw mut len,
            );
            (api.get_value_bigint_uint64)(env, value, &raw mut token, &raw mut exact) == 0
        };
        if is_token && exact && len <= ROUTE {
            contain(|| matched(token, &template[..len]));
        }
    }
    std::ptr::null_mut()
}

unsafe extern "C" fn start(_: Env, _: Info) -> Value {
    contain(speaks);
    std::ptr::null_mut()
}
