//! Node: its own AsyncLocalStorage carries the token along; a script says it before each write.
//!
//! The script is part of this file. Node loads it as a preloaded module (`--require` in NODE_OPTIONS, set in the constructor):
//! the path is that of this object, and [`open`] gives node the script instead when it opens it. So nothing is written anywhere,
//! and nothing is needed. (`--import data:..` would do without, but forces the program's own start through the
//! loader of ES modules, which refuses what `require` hooks make loadable.) The script takes its words out of NODE_OPTIONS again.
//!
//! The script calls into this file through Node-API, as a module that is linked into node: `process._linkedBinding`.

mod napi;
mod open;

use super::set;
use super::told::tell;
use crate::conn::serving;
use crate::context::{client, server};
use crate::export::record::Ref;
use crate::hooks::real;
use crate::sys::process;
use agent_engine::config::Config;
use agent_engine::config::instrumentation::Instrumentation;
use agent_engine::context::TRACEPARENT_LEN;
use agent_engine::resource::program::base_name;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::OnceLock;

const SCRIPT: &str = concat!(
    include_str!("assets/routes.js"),
    include_str!("assets/http2.js"),
    include_str!("assets/pg.js"),
    include_str!("assets/mysql2.js"),
    include_str!("assets/redis.js"),
    include_str!("assets/ioredis.js"),
    include_str!("assets/memjs.js"),
    include_str!("assets/node.js")
);
/// The frameworks whose routes can be read, by the names that the script knows.
const ROUTERS: [(Instrumentation, &str); 3] = [
    (Instrumentation::Express, "EXPRESS"),
    (Instrumentation::Fastify, "FASTIFY"),
    (Instrumentation::Koa, "KOA"),
];
const VARIABLE: &CStr = c"NODE_OPTIONS";
const NAMES: [&[u8]; 2] = [b"node", b"nodejs"];
/// Options with which a preloaded file may keep node from starting, or which are for making something else than a run.
const FORBIDDING: [&str; 7] = [
    "--permission",
    "--experimental-permission",
    "--experimental-policy",
    "--experimental-config-file",
    "--experimental-default-config-file",
    "--build-snapshot",
    "--policy",
];

/// What the script has to know.
struct Told {
    /// What is appended to NODE_OPTIONS.
    option: CString,
    /// Which of [`ROUTERS`] are on, with a comma after each.
    routers: CString,
}

static TOLD: OnceLock<Told> = OnceLock::new();

/// Prepares the bridge if the program is a node that can have it; else says why not.
pub(crate) fn start(exe: &[u8], argv: &[&[u8]], config: &Config) -> Result<(), &'static str> {
    if !NAMES.contains(&base_name(exe)) {
        return Ok(());
    }
    if !config.instrumentations.is_enabled(Instrumentation::Node) {
        return Err("switched off");
    }
    let before = std::env::var_os("NODE_OPTIONS").unwrap_or_default();
    let forbids = |word: &[u8]| FORBIDDING.iter().any(|o| word.starts_with(o.as_bytes()));
    if argv.iter().any(|word| forbids(word))
        || before
            .as_bytes()
            .split(u8::is_ascii_whitespace)
            .any(forbids)
    {
        return Err("an option of node's");
    }
    let api = napi::Api::find().ok_or("this node is too old")?;
    let file = own_file().ok_or("the agent's file cannot be found")?;
    let option = option(file.to_bytes()).ok_or("the agent's path")?;
    let mut value = before.into_vec();
    if !contains(&value, option.as_bytes()) {
        if std::env::var_os("NODE_OPTIONS").is_some() {
            value.push(b' ');
        }
        value.extend_from_slice(option.as_bytes());
    }
    let value = CString::new(value).map_err(|_| "NODE_OPTIONS")?;
    open::redirect(file, SCRIPT.as_bytes())?;
    let on = |which| config.instrumentations.is_enabled(which);
    let routers = ROUTERS.iter().filter(|(which, _)| on(*which));
    let routers: String = routers.flat_map(|(_, name)| [name, ","]).collect();
    let routers = CString::new(routers).unwrap_or_default();
    let _ = TOLD.set(Told { option, routers });
    napi::register(api);
    // SAFETY: both are strings; in the constructor there is no other thread.
    unsafe { libc::setenv(VARIABLE.as_ptr(), value.as_ptr(), 1) };
    Ok(())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

/// `--require` of the file, quoted as node wants it.
fn option(path: &[u8]) -> Option<CString> {
    let mut option = b"\"--require=".to_vec();
    for byte in path {
        if matches!(byte, b'"' | b'\\') {
            option.push(b'\\');
        }
        option.push(*byte);
    }
    option.push(b'"');
    CString::new(option).ok()
}

/// The path of this object, as node will find it: without symbolic links.
fn own_file() -> Option<CString> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: an address of ours; what it fills in is only read if it says so.
    let name = unsafe {
        if libc::dladdr(real::base(), info.as_mut_ptr()) == 0 {
            return None;
        }
        let name = info.assume_init().dli_fname;
        if name.is_null() {
            return None;
        }
        CStr::from_ptr(name)
    };
    let path = std::fs::canonicalize(Path::new(OsStr::from_bytes(name.to_bytes()))).ok()?;
    CString::new(path.into_os_string().into_vec()).ok()
}

/// The script's `claim(descriptor, target)`.
fn claimed(fd: i32, target: &[u8]) -> Option<u64> {
    let reference = serving::claim(fd, target);
    (reference != Ref::NOBODY).then_some(reference.0)
}

/// The script's `stream(descriptor, number)`.
fn streamed(fd: i32, stream: u32) -> Option<u64> {
    let reference = serving::on_stream(fd, stream);
    (reference != Ref::NOBODY).then_some(reference.0)
}

/// The script's `hand_out(token)`.
fn handed_out(token: u64) -> Option<[u8; TRACEPARENT_LEN]> {
    client::hand_out(Ref(token))
}

/// The script's `tell(descriptor, place, token)`: of places only the lowest bits count.
fn told(fd: i32, place: u32, token: Option<u64>) {
    tell(fd, place, token.map_or(Ref::NOBODY, Ref));
}

/// The script's `set(token)`.
fn works_for(token: Option<u64>) {
    set(token.map_or(Ref::NOBODY, Ref));
}

/// The script's `route(token, template)`.
fn matched(token: u64, template: &[u8]) {
    if let Some(state) = process::state() {
        server::routed(state, Ref(token), template);
    }
}

/// The script's `start()`: it is in place. A thread without it (a worker with options of its own) has nobody to ask, and what is
/// read last on an event loop says nothing.
fn speaks() {
    super::speak_for_all();
    set(Ref::NOBODY);
}
