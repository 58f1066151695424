use super::*;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

/// One at a time, as in a program: the loader's lock is held there.
static ONE: Mutex<()> = Mutex::new(());

type Sum = unsafe extern "C" fn(i32, i32) -> i32;

const fn untyped(function: Sum) -> unsafe extern "C" fn() {
    // SAFETY: a function pointer, which is not called as this type.
    unsafe { std::mem::transmute::<Sum, unsafe extern "C" fn()>(function) }
}

fn original(originals: &Originals, a: i32, b: i32) -> i32 {
    let way = originals[0].load(Ordering::Acquire);
    // SAFETY: published before the replacement, which calls this, and the way to a function of this type.
    unsafe { std::mem::transmute::<*mut c_void, Sum>(way)(a, b) }
}

/// A family of one library in the test program: its functions, replacements that add 1000, and what was said of its copies.
macro_rules! family {
    ($module:ident, marks $marks:expr, hooks [$($hook:ident = $target:literal),*], helper $helper:literal) => {
        mod $module {
            use super::*;
            $(pub(super) mod $hook {
                use super::*;
                pub(in super::super) static ORIGINALS: Originals =
                    [const { AtomicPtr::new(std::ptr::null_mut()) }; COPIES];
                unsafe extern "C" fn replacement(a: i32, b: i32) -> i32 {
                    original(&ORIGINALS, a, b) + 1000
                }
                pub(super) const REPLACEMENT: unsafe extern "C" fn() = untyped(replacement);
            })*
            pub(super) static HELPER: Originals =
                [const { AtomicPtr::new(std::ptr::null_mut()) }; COPIES];
            pub(super) static BEGUN: AtomicUsize = AtomicUsize::new(0);
            pub(super) static GONE: AtomicUsize = AtomicUsize::new(0);
            pub(super) static ALL: [&Family; 1] = [&Family {
                name: stringify!($module),
                marks: &$marks,
                hooks: &[$(Hook {
                    name: $target,
                    replacements: [$hook::REPLACEMENT; COPIES],
                    originals: &$hook::ORIGINALS,
                }),*],
                helpers: &[Helper { name: $helper, addresses: &HELPER }],
                begun: |copy| {
                    assert_eq!(copy, 0);
                    $(assert!(!$hook::ORIGINALS[0].load(Ordering::Acquire).is_null());)*
                    assert!(!HELPER[0].load(Ordering::Acquire).is_null());
                    BEGUN.fetch_add(1, Ordering::SeqCst);
                },
                gone: |copy| {
                    assert_eq!(copy, 0);
                    GONE.fetch_add(1, Ordering::SeqCst);
                },
            }];
        }
    };
}

macro_rules! targets {
    ($($name:ident = |$a:ident, $b:ident| $body:expr;)*) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $name($a: i32, $b: i32) -> i32 {
                let ($a, $b) = std::hint::black_box(($a, $b));
                std::hint::black_box($body)
            }
        )*
    };
}

targets! {
    otel_run_test_add = |a, b| a + b;
    otel_run_test_sub = |a, b| a - b;
    otel_run_test_left_add = |a, b| a + b;
    otel_run_test_left_sub = |a, b| a - b;
    otel_run_test_kept = |a, b| a * b;
}

fn watch(families: &'static [&'static Family]) -> Watch {
    Watch {
        debug: real::look_up(c"_r_debug").cast(),
        families: Some(families),
        known: Known::new(),
        copies: [[None; COPIES]; FAMILIES],
        refused: false,
    }
}

fn executable(watch: &Watch) -> Object {
    // SAFETY: the linker's own list; the tests load nothing.
    unsafe { objects::all(watch.debug) }
        .unwrap()
        .next()
        .unwrap()
        .0
}

/// What the linker's announcement does for one object, here the test program.
fn look(watch: &mut Watch, moment: Moment) {
    let object = executable(watch);
    let file = symtab::File::of_executable().unwrap();
    let table = file.symbols(&object).unwrap();
    watch.look_in(&table, &object, c"", moment, None, 0);
}

fn call(f: extern "C" fn(i32, i32) -> i32, a: i32, b: i32) -> i32 {
    std::hint::black_box(f)(a, b)
}

family!(arithmetic,
    marks ["otel_run_test_add", "otel_run_test_sub"],
    hooks [add = "otel_run_test_add", sub = "otel_run_test_sub"],
    helper "otel_run_test_kept");

#[test]
fn replacements_are_called_and_call_the_originals() {
    let _one = ONE.lock();
    let mut watch = watch(&arithmetic::ALL);
    assert_eq!(call(otel_run_test_add, 30, 4), 34);
    look(&mut watch, Moment::Safe);
    assert_eq!(call(otel_run_test_add, 30, 4), 1034);
    assert_eq!(call(otel_run_test_sub, 30, 4), 1026);
    let helper = arithmetic::HELPER[0].load(Ordering::Relaxed);
    assert_eq!(helper, otel_run_test_kept as *mut c_void);
    assert_eq!(arithmetic::BEGUN.load(Ordering::SeqCst), 1);
    assert_eq!(watch.copies[0][0], Some(executable(&watch)));
    assert_eq!(writable_code(), 0);

    // A second time it is somebody's already: nothing changes.
    look(&mut watch, Moment::Safe);
    assert_eq!(call(otel_run_test_add, 30, 4), 1034);
    assert_eq!(arithmetic::BEGUN.load(Ordering::SeqCst), 1);

    // The object goes: its copy is free again.
    let object = executable(&watch);
    watch.known.meet(object);
    watch.known.begin();
    let nothing: &'static Debug = Box::leak(Box::new(objects::empty()));
    watch.debug = nothing;
    watch.look(Moment::Safe);
    assert_eq!(arithmetic::GONE.load(Ordering::SeqCst), 1);
    assert_eq!(watch.copies[0][0], None);
}

family!(left,
    marks ["otel_run_test_left_add"],
    hooks [add = "otel_run_test_left_add", sub = "otel_run_test_left_sub"],
    helper "otel_run_test_kept");

#[test]
fn nothing_is_replaced_while_threads_may_run() {
    let _one = ONE.lock();
    let mut watch = watch(&left::ALL);
    look(&mut watch, Moment::Late);
    assert_eq!(call(otel_run_test_left_add, 30, 4), 34);
    assert_eq!(left::BEGUN.load(Ordering::SeqCst), 0);
    assert!(!is_alone(), "the test runner has threads");
}

/// Runs `f` in a forked child; what it gives is the exit status.
fn in_child(f: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child uses what glibc makes usable in a forked child, and leaves without running the runner's code.
    unsafe {
        let pid = libc::fork();
        assert!(pid >= 0);
        if pid == 0 {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
            libc::_exit(result.unwrap_or(101));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
        assert!(libc::WIFEXITED(status), "status {status:#x}");
        libc::WEXITSTATUS(status)
    }
}

/// Makes the kernel refuse mprotect with PROT_EXEC and, if `maps` says so, mmap that is writable and executable: what systemd's
/// MemoryDenyWriteExecute does.
fn forbid_writable_code(maps: bool) {
    let op = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let (load, equals, and, has, ret) = (0x20, 0x15, 0x54, 0x45, 0x06);
    let mmap = if maps {
        libc::SYS_mmap as u32
    } else {
        u32::MAX
    };
    let (protection, refuse) = (32, 0x0005_0000 | libc::EPERM as u32);
    let mut program = [
        op(load, 0, 0, 0),
        op(equals, 1, 0, libc::SYS_mprotect as u32),
        op(equals, 2, 5, mmap),
        op(load, 0, 0, protection),
        op(has, 4, 3, libc::PROT_EXEC as u32),
        op(load, 0, 0, protection),
        op(and, 0, 0, 6),
        op(equals, 1, 0, 6),
        op(ret, 0, 0, 0x7fff_0000),
        op(ret, 0, 0, refuse),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: a filter that outlives the calls.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program),
            0
        );
    }
}

/// How many mappings are writable and executable.
fn writable_code() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains(" rwx")).count()
}

#[test]
fn where_code_may_not_be_written_everything_stays_as_it_is() {
    let _one = ONE.lock();
    for maps in [true, false] {
        let status = in_child(|| {
            forbid_writable_code(maps);
            let mut watch = watch(&left::ALL);
            look(&mut watch, Moment::Safe);
            assert!(watch.refused);
            assert_eq!(watch.copies[0][0], None);
            assert_eq!(call(otel_run_test_left_add, 30, 4), 34);
            assert_eq!(call(otel_run_test_left_sub, 30, 4), 26);
            let said = [&left::BEGUN, &left::GONE].map(|n| n.load(Ordering::SeqCst));
            assert_eq!(said[0], said[1], "a copy that began is gone");
            // Nor is it asked again.
            look(&mut watch, Moment::Safe);
            assert_eq!(left::BEGUN.load(Ordering::SeqCst), said[0]);
            0
        });
        assert_eq!(status, 0, "refusing mmap as well: {maps}");
    }
}

/// A forked child has another heap: what detour keeps on the parent's may be read there, and grows no more.
#[test]
fn a_forked_child_replaces_functions_too() {
    let _one = ONE.lock();
    let status = in_child(|| {
        let mut watch = watch(&left::ALL);
        look(&mut watch, Moment::Safe);
        assert_eq!(call(otel_run_test_left_add, 30, 4), 1034);
        assert_eq!(call(otel_run_test_left_sub, 30, 4), 1026);
        assert_eq!(writable_code(), 0);
        0
    });
    assert_eq!(status, 0);
    assert_eq!(call(otel_run_test_left_add, 30, 4), 34);
}
