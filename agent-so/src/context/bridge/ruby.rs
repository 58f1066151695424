//! Ruby: a script of ours wraps what servers call for each request, and what is begun in one.
//!
//! The script is part of this file and is evaluated through Ruby's C interface when the interpreter is ready and has not run the
//! program yet (`ruby_run_node`, which `ruby` calls once). So no file is needed, and no variable that children would inherit. It
//! tells through functions of ours, always under the interpreter's lock, for whom the thread works. A thread of Ruby's is one of
//! the system's; where it has several fibers for several requests (Async::HTTP), each switch sets the thread's word again.
//!
//! What threads and fibers are to begin with is noted at their objects, under a name that Ruby code cannot see.

mod api;
mod work;

use super::speak_for_all;
use crate::conn::serving;
use crate::context::{candidate, is_open, server};
use crate::export::record::Ref;
use crate::hooks::contain;
use crate::hooks::tls::{address, function, hook, original, slots};
use crate::patch::{COPIES, Family, Hook, Originals};
use crate::settings;
use crate::sys::thread::{self, INHERITED};
use crate::sys::{log, process};
use agent_engine::config::LogLevel;
use agent_engine::config::instrumentation::Instrumentation;
use agent_engine::resource::program::base_name;
use api::{Api, FIBER_SWITCH, Id, Listener, THREAD_BEGIN, Value};
use std::ffi::{CStr, c_int, c_uint, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use work::{NOBODY, Work};

const SCRIPT: &str = concat!(include_str!("assets/ruby.rb"), "\0");

slots! { RUN_NODE }

static FAMILY: Family = Family {
    name: "Ruby",
    marks: &[
        "ruby_run_node",
        "ruby_executable_node",
        "rb_mod_module_eval",
    ],
    hooks: &[hook!("ruby_run_node", run_node, RUN_NODE)],
    helpers: api::HELPERS,
    begun: |_| {},
    gone: |_| {},
};

/// What the patcher is to look for in this program.
pub(crate) fn wanted(exe: &[u8]) -> Option<&'static Family> {
    let on = settings::get().config.instrumentations;
    (base_name(exe).starts_with(b"ruby") && on.is_enabled(Instrumentation::Ruby)).then_some(&FAMILY)
}

/// The interpreter that the script runs in.
struct Ruby {
    api: Api,
    /// What is noted at threads and fibers is called so.
    name: Id,
}

static RUBY: OnceLock<Ruby> = OnceLock::new();
/// Fibers are followed.
static FIBERS: AtomicBool = AtomicBool::new(false);

/// `ruby_run_node`: runs the program. The interpreter is ready, and this thread holds its lock.
unsafe extern "C" fn run_node<const COPY: usize>(node: *mut c_void) -> c_int {
    contain(|| {
        if process::peek().is_some()
            // SAFETY: called in place of `ruby_run_node`, with its argument.
            && let Err(why) = unsafe { load(COPY, node) }
        {
            log::line(LogLevel::Debug, format_args!("no bridge into Ruby: {why}"));
        }
    });
    let run = original!(RUN_NODE, COPY, fn(*mut c_void) -> c_int, else 1);
    // SAFETY: the program's own call.
    unsafe { run(node) }
}

/// Evaluates the script.
///
/// # Safety
/// On a thread that holds the interpreter's lock, with what the interpreter is about to run.
unsafe fn load(copy: usize, node: *mut c_void) -> Result<(), &'static str> {
    let api = Api::of(copy).ok_or("a function is missing")?;
    let mut status = 0;
    // SAFETY: by the caller's promise; asks whether there is a program (and not only `--version`).
    if unsafe { (api.ruby_executable_node)(node, &raw mut status) } == 0 {
        return Ok(());
    }
    // SAFETY: a NUL-terminated name, under the interpreter's lock.
    let name = unsafe { (api.rb_intern)(c"otel_run".as_ptr()) };
    if RUBY.set(Ruby { api, name }).is_err() {
        return Err("there is a second one");
    }
    let api = &ruby().ok_or("no interpreter")?.api;
    let mut failed = 0;
    // SAFETY: under the interpreter's lock. What is raised is caught by `rb_protect` and forgotten; only frames without anything to
    // drop (`evaluate`) are left that way. The text ends with a NUL and lives for ever.
    unsafe {
        let before = (api.rb_errinfo)();
        (api.rb_protect)(evaluate, 0, &raw mut failed);
        (api.rb_set_errinfo)(before);
    }
    if failed == 0 {
        Ok(())
    } else {
        Err("the script failed")
    }
}

unsafe extern "C" fn evaluate(_: Value) -> Value {
    let Some(Ruby { api, .. }) = ruby() else {
        return fixnum(0);
    };
    // SAFETY: the functions have the types that their numbers of arguments say; the values are on this stack, where the collector
    // of garbage sees them.
    unsafe {
        let module = (api.rb_module_new)();
        let safe = |on| {
            if let Some(mark) = api.rb_ext_ractor_safe {
                mark(on);
            }
        };
        safe(true);
        for (name, function, arguments) in &FUNCTIONS {
            (api.rb_define_module_function)(module, name.as_ptr(), function.0, *arguments);
        }
        safe(false);
        let text = (api.rb_utf8_str_new_cstr)(SCRIPT.as_ptr().cast());
        let file = (api.rb_utf8_str_new_cstr)(c"(otel-run)".as_ptr());
        let arguments = [text, file, fixnum(1)];
        (api.rb_mod_module_eval)(arguments.len() as c_int, arguments.as_ptr(), module)
    }
}

fn ruby() -> Option<&'static Ruby> {
    RUBY.get()
}

/// A function that Ruby calls: with the receiver and as many values as it is said to take.
struct Function(*const c_void);

// SAFETY: code.
unsafe impl Sync for Function {}

/// The frameworks whose routes can be read.
const ROUTERS: [Instrumentation; 2] = [Instrumentation::Sinatra, Instrumentation::Rails];

/// What the script can call.
static FUNCTIONS: [(&CStr, Function, c_int); 11] = [
    (c"adopt", Function(adopt as *const c_void), 1),
    (c"current", Function(current as *const c_void), 0),
    (c"enter", Function(enter as *const c_void), 1),
    (c"fibers", Function(fibers as *const c_void), 0),
    (c"hand_over", Function(hand_over as *const c_void), 0),
    (c"inherit", Function(inherit as *const c_void), 1),
    (c"leave", Function(leave as *const c_void), 0),
    (c"match", Function(matched as *const c_void), 2),
    (c"reads", Function(reads as *const c_void), 1),
    (c"threads", Function(threads as *const c_void), 0),
    (c"unsure", Function(unsure as *const c_void), 0),
];

fn fixnum(value: u64) -> Value {
    (value << 1 | 1) as Value
}

impl Ruby {
    /// # Safety
    /// Under the interpreter's lock; `object` must be one that can be changed.
    unsafe fn note(&self, object: Value, work: Work) {
        // SAFETY: by the caller's promise.
        unsafe { (self.api.rb_ivar_set)(object, self.name, work.to_value()) };
    }

    /// # Safety
    /// Under the interpreter's lock; `object` must be one.
    unsafe fn noted(&self, object: Value) -> Option<Work> {
        // SAFETY: by the caller's promise.
        Work::of_value(unsafe { (self.api.rb_attr_get)(object, self.name) })
    }

    fn listen(&self, event: c_uint, listener: Listener) {
        // SAFETY: called by the script, under the interpreter's lock; the listener has the demanded type and lives for ever.
        unsafe { (self.api.rb_add_event_hook)(listener, event, fixnum(0)) };
    }
}

/// A request of the connection `fd` is handed to the program.
unsafe extern "C" fn enter(_: Value, fd: Value) -> Value {
    contain(|| {
        let fd = (fd as isize >> 1) as c_int;
        Work {
            whom: serving::oldest(fd),
            inherited: false,
        }
        .begin_in_fiber();
    });
    fixnum(0)
}

/// The program is done with it.
unsafe extern "C" fn leave(_: Value) -> Value {
    contain(|| NOBODY.begin_in_fiber());
    fixnum(0)
}

/// For whom the thread works, as work that is given away; 0 for nobody.
unsafe extern "C" fn current(_: Value) -> Value {
    contain(given).flatten().map_or(fixnum(0), Work::to_value)
}

fn given() -> Option<Work> {
    let state = process::state()?;
    let whom = candidate(state, Ref::default());
    let work = Work {
        whom,
        inherited: true,
    };
    is_open(state, whom).then_some(work)
}

/// Works for somebody else from here on; gives what was before.
unsafe extern "C" fn adopt(_: Value, work: Value) -> Value {
    contain(|| {
        let before = Work::now();
        Work::of_value(work).unwrap_or(NOBODY).begin_in_fiber();
        before.to_value()
    })
    .unwrap_or(fixnum(0))
}

/// The thread or fiber is begun by what runs here, and works for the same.
unsafe extern "C" fn inherit(_: Value, object: Value) -> Value {
    contain(|| {
        let (ruby, work) = (ruby()?, given()?);
        // SAFETY: called by the object's own `initialize`, under the interpreter's lock.
        unsafe { ruby.note(object, work) };
        Some(())
    });
    fixnum(0)
}

/// Whoever only inherited what it does takes other work from here on.
unsafe extern "C" fn hand_over(_: Value) -> Value {
    if thread::current().has(INHERITED) {
        contain(|| NOBODY.begin_in_fiber());
    }
    fixnum(0)
}

/// The framework's router matched this template, of so many bytes, for the request that the thread works for.
unsafe extern "C" fn matched(_: Value, mut template: Value, bytes: Value) -> Value {
    contain(|| {
        let (ruby, state) = (ruby()?, process::state()?);
        // SAFETY: the script passes a string of Ruby's, which stays as it is while its lock is held, and its size.
        let text = unsafe {
            let start = (ruby.api.rb_string_value_ptr)(&raw mut template);
            std::slice::from_raw_parts(start.cast(), bytes >> 1)
        };
        server::routed(state, candidate(state, Ref::default()), text);
        Some(())
    });
    fixnum(0)
}

/// Whether the routes of a framework are wanted, by its place in [`ROUTERS`].
unsafe extern "C" fn reads(_: Value, router: Value) -> Value {
    let on = settings::get().config.instrumentations;
    let is_on = ROUTERS.get(router >> 1).is_some_and(|r| on.is_enabled(*r));
    fixnum(u64::from(is_on))
}

/// Threads are followed from here on.
unsafe extern "C" fn threads(_: Value) -> Value {
    if let Some(ruby) = ruby() {
        ruby.listen(THREAD_BEGIN, thread_begins);
    }
    fixnum(0)
}

/// Fibers are followed from here on.
unsafe extern "C" fn fibers(_: Value) -> Value {
    if let Some(ruby) = ruby()
        && !FIBERS.swap(true, Ordering::Relaxed)
    {
        ruby.listen(FIBER_SWITCH, fiber_runs);
    }
    fixnum(0)
}

/// Nothing can be told of any thread.
unsafe extern "C" fn unsure(_: Value) -> Value {
    speak_for_all();
    fixnum(0)
}

/// The system's thread may have been another one's of Ruby's before: what is not known is the rules' matter again.
unsafe extern "C" fn thread_begins(_: c_uint, _: Value, _: Value, _: Id, _: Value) {
    contain(|| {
        let ruby = ruby()?;
        // SAFETY: an event, under the interpreter's lock.
        let work = unsafe { ruby.noted((ruby.api.rb_thread_current)()) };
        work.unwrap_or_default().begin_in_fiber();
        Some(())
    });
}

/// What is not noted at a fiber is not known: it may be a loop's own, or one of Ruby's.
unsafe extern "C" fn fiber_runs(_: c_uint, _: Value, _: Value, _: Id, _: Value) {
    contain(|| {
        let ruby = ruby()?;
        // SAFETY: an event, under the interpreter's lock.
        let work = unsafe { ruby.noted((ruby.api.rb_fiber_current)()) };
        work.unwrap_or(NOBODY).begin();
        Some(())
    });
}
