//! What happens when the dynamic linker loads and unloads the agent.
//!
//! The constructor decides first whether this process is traced at all. It starts no thread, opens no descriptor, and
//! prints nothing.

use crate::context::bridge;
use crate::export::flush;
use crate::hooks::{contain, loader, real, sqlite, tls};
use crate::patch;
use crate::settings;
use crate::sys::{log, process};
use agent_engine::config::policy::{Decision, should_instrument};
use agent_engine::config::sdk::sdk_markers;
use agent_engine::config::{Coexist, Config, LogLevel};
use agent_engine::resource::program::base_name;
use agent_engine::resource::service_name;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = construct;

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = destruct;

/// glibc passes the program's arguments to constructors.
extern "C" fn construct(
    argc: c_int,
    argv: *const *const c_char,
    environment: *const *const c_char,
) {
    contain(|| {
        log::know_stderr();
        real::resolve();
        if another_copy() {
            return;
        }
        // SAFETY: both are the blocks that the kernel built: argc strings, and strings up to a null pointer.
        let (argv, environment) =
            unsafe { (strings(argv, Some(argc)), strings(environment, None)) };
        start(&argv, &environment);
    });
}

extern "C" fn destruct() {
    contain(flush::at_exit);
    contain(report_losses);
}

/// Says at the end how many spans were lost, if any were: the line at the first loss could not know.
fn report_losses() {
    let Some(state) = process::state() else {
        return;
    };
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &state.counters;
    let lost =
        count(&counters.queue_full) + count(&counters.no_record) + count(&counters.export_failed);
    let level = if lost > 0 {
        LogLevel::Warn
    } else {
        LogLevel::Debug
    };
    if count(&counters.finished) > 0 || lost > 0 {
        log::line(
            level,
            format_args!(
                "spans: {} finished, {} exported, {} dropped (queue full), {} not recorded, {} lost in export",
                count(&counters.finished),
                count(&counters.exported),
                count(&counters.queue_full),
                count(&counters.no_record),
                count(&counters.export_failed),
            ),
        );
    }
}

/// Two copies (preloaded by two paths) would each see every byte: the one loaded first works, the others stand down.
fn another_copy() -> bool {
    struct Search {
        ours: *const c_void,
        first: Option<bool>,
    }
    unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, data: *mut c_void) -> c_int {
        // SAFETY: the linker passes a valid description, and `data` is the search below.
        let (info, search) = unsafe { (&*info, &mut *data.cast::<Search>()) };
        if info.dlpi_name.is_null() {
            return 0;
        }
        // SAFETY: the name is a string.
        let name = unsafe { CStr::from_ptr(info.dlpi_name) };
        if base_name(name.to_bytes()) != FILE_NAME {
            return 0;
        }
        search.first = Some(std::ptr::eq(info.dlpi_addr as *const c_void, search.ours));
        1
    }
    let mut search = Search {
        ours: real::base(),
        first: None,
    };
    // SAFETY: the callback has the demanded type and the search outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
    search.first == Some(false)
}

/// How the agent's file is called.
const FILE_NAME: &[u8] = b"libagent.so";

unsafe fn strings<'a>(block: *const *const c_char, count: Option<c_int>) -> Vec<&'a [u8]> {
    let mut all = Vec::new();
    if block.is_null() {
        return all;
    }
    let most = count.map_or(usize::MAX, |n| n.max(0) as usize);
    while all.len() < most {
        // SAFETY: by the caller's promise the block has this entry, and it is a string or the null pointer at its end.
        let entry = unsafe { *block.add(all.len()) };
        if entry.is_null() {
            break;
        }
        // SAFETY: as above.
        all.push(unsafe { CStr::from_ptr(entry) }.to_bytes());
    }
    all
}

fn start(argv: &[&'static [u8]], environment: &[&'static [u8]]) {
    let vars = || {
        environment.iter().filter_map(|entry| {
            let at = memchr::memchr(b'=', entry)?;
            Some((&entry[..at], &entry[at + 1..]))
        })
    };
    let mut exe = [0u8; 4096];
    let exe = executable(&mut exe);
    let (config, warnings) = Config::from_env(vars());
    log::set_up(config.log.level);
    if let Decision::No(why) = should_instrument(exe, argv.iter().copied(), &config) {
        log::line(
            LogLevel::Debug,
            format_args!("{}: not traced: {why}", exe.escape_ascii()),
        );
        return;
    }
    if config.coexist == Coexist::Auto
        && let Some(marker) = sdk_markers(exe, vars(), argv.iter().copied())
    {
        log::line(
            LogLevel::Info,
            format_args!("an OpenTelemetry SDK is loaded ({marker}): standing aside"),
        );
        return;
    }
    let mut lines = String::new();
    for warning in warnings.iter().filter(|w| config.log.prints(w)) {
        let _ = writeln!(lines, "otel-run: {warning}");
    }
    let name = service_name(exe, argv.iter().copied());
    let argv0 = argv.first().copied().unwrap_or_default();
    if base_name(exe).starts_with(b"php") {
        loader::without_deepbind();
    }
    let file = config
        .log
        .file
        .clone()
        .filter(|_| config.log.level > LogLevel::Off);
    settings::publish(config, exe, argv0, name, lines);
    if !process::start() {
        return;
    }
    if let Some(file) = file {
        log::open_file(&file);
    }
    if let Err(why) = bridge::node::start(exe, argv, &settings::get().config) {
        log::line(LogLevel::Debug, format_args!("no bridge into node: {why}"));
    }
    let mut families = tls::wanted();
    families.extend(bridge::ruby::wanted(exe));
    families.extend(bridge::python::start());
    families.extend(bridge::java::wanted());
    families.extend(sqlite::wanted());
    patch::start(families.leak());
}

fn executable(room: &mut [u8]) -> &[u8] {
    // SAFETY: the path is NUL-terminated; the kernel writes at most the room's length.
    let got = unsafe {
        crate::sys::raw::call(
            libc::SYS_readlinkat,
            [
                libc::AT_FDCWD as usize,
                c"/proc/self/exe".as_ptr() as usize,
                room.as_mut_ptr() as usize,
                room.len(),
                0,
                0,
            ],
        )
    };
    &room[..got.unwrap_or(0).min(room.len())]
}
