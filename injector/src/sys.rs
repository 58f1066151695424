//! What the process was given by its parent and the standard library changes before `main` or at `exec`: the
//! program that is run must get it back. And what else has no safe form: the only unsafe code of the command.

use std::ffi::{CStr, CString, OsStr, OsString, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// `SIGPIPE` was ignored when the process started (systemd does so for services). Rust's runtime sets it to
/// "ignore" before `main` and to "default" in children, so this cannot be asked later.
static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);
/// `SIGCHLD` was ignored when the process started; the console catches it.
static SIGCHLD_IGNORED: AtomicBool = AtomicBool::new(false);
/// Which of the descriptors 0 to 2 were closed, a bit each. Rust's runtime opens `/dev/null` there.
static CLOSED_STREAMS: AtomicU8 = AtomicU8::new(0);

/// Runs before Rust's runtime.
// SAFETY: the dynamic linker calls the entries of this section as C functions; `record` is one, takes none of
// the arguments that are passed, and uses nothing that needs the runtime.
#[used]
#[unsafe(link_section = ".init_array")]
static RECORD: extern "C" fn() = record;

extern "C" fn record() {
    SIGPIPE_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    SIGCHLD_IGNORED.store(is_ignored(libc::SIGCHLD), Ordering::Relaxed);
    let closed = (0..3).filter(|&fd| {
        // SAFETY: F_GETFD only asks; any number is allowed.
        unsafe { libc::fcntl(fd, libc::F_GETFD) == -1 }
    });
    CLOSED_STREAMS.store(closed.map(|fd| 1 << fd).sum(), Ordering::Relaxed);
}

/// Whether a signal is ignored in this process. An ignored signal stays so across `exec`; catching it would
/// turn it into a deadly one for the program (`nohup otel-run --console ...`).
pub(crate) fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: sigaction is plain data, for which zeroes are a valid value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null new action means "only ask"; the old one is written to a variable of ours.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Makes `command` start with the signal mask, the signal dispositions and the closed streams that this
/// process was started with.
pub(crate) fn pass_on_inherited_state(command: &mut Command) {
    let mask = signal_mask();
    let restore = move || {
        for (ignored, signal) in [
            (&SIGPIPE_IGNORED, libc::SIGPIPE),
            (&SIGCHLD_IGNORED, libc::SIGCHLD),
        ] {
            if ignored.load(Ordering::Relaxed) {
                // SAFETY: sets a disposition; async-signal-safe (signal-safety(7)).
                unsafe { libc::signal(signal, libc::SIG_IGN) };
            }
        }
        for fd in 0..3 {
            if CLOSED_STREAMS.load(Ordering::Relaxed) & (1 << fd) != 0 {
                // SAFETY: the descriptor is the /dev/null that Rust's runtime put there; this process is
                // about to be replaced and uses it for nothing.
                unsafe { libc::close(fd) };
            }
        }
        // SAFETY: the set was filled by the kernel; pthread_sigmask is async-signal-safe.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut()) };
        Ok(())
    };
    // SAFETY: the closure makes async-signal-safe calls only and does not allocate, as is required between
    // fork and exec.
    unsafe { command.pre_exec(restore) };
}

/// The entries of the environment as they were given: in their order, also those that are no `NAME=value`.
pub(crate) fn environment() -> Vec<OsString> {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    let mut entries = Vec::new();
    // SAFETY: libc's variable; nothing in this command changes it, and it is read before there are threads.
    let mut at = unsafe { environ };
    // SAFETY: the block is an array of strings that ends in a null pointer, or is missing altogether.
    while let Some(entry) = unsafe { at.as_ref() }.filter(|entry| !entry.is_null()) {
        // SAFETY: not the null pointer at the end, so it is a string.
        let text = unsafe { CStr::from_ptr(*entry) };
        entries.push(OsString::from_vec(text.to_bytes().to_vec()));
        // SAFETY: there is at least the end behind an entry.
        at = unsafe { at.add(1) };
    }
    entries
}

/// Makes `command` run `file` with this command line and these entries of the environment, all as they are. The
/// standard library would sort the variables by name and drop what it cannot read.
pub(crate) fn run_exactly<'a>(
    command: &mut Command,
    file: &OsStr,
    argv: impl Iterator<Item = &'a OsStr>,
    environment: impl Iterator<Item = &'a OsStr>,
) -> std::io::Result<()> {
    let file = CString::new(file.as_bytes())?;
    let (argv, environment) = (Strings::new(argv)?, Strings::new(environment)?);
    let replace = move || {
        // SAFETY: a string and two arrays of strings that end in a null pointer, all of which the closure owns.
        unsafe { libc::execvpe(file.as_ptr(), argv.as_ptr(), environment.as_ptr()) };
        Err(std::io::Error::last_os_error())
    };
    // SAFETY: as the standard library itself does at this point, the closure only calls exec, of which glibc's
    // implementation uses the stack alone; the error that it makes is a number.
    unsafe { command.pre_exec(replace) };
    Ok(())
}

/// An array of strings as `exec` takes them.
struct Strings {
    pointers: Vec<*const c_char>,
    _owned: Vec<CString>,
}

// SAFETY: the pointers are to the strings beside them, which nobody changes.
unsafe impl Send for Strings {}
// SAFETY: as above.
unsafe impl Sync for Strings {}

impl Strings {
    fn new<'a>(strings: impl Iterator<Item = &'a OsStr>) -> std::io::Result<Self> {
        let owned = strings
            .map(|text| CString::new(text.as_bytes()))
            .collect::<Result<Vec<_>, _>>()?;
        let pointers = owned.iter().map(|text| text.as_ptr());
        Ok(Self {
            pointers: pointers.chain([std::ptr::null()]).collect(),
            _owned: owned,
        })
    }

    /// Through a method, so that closures hold the whole.
    fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

/// Whether memory may be writable and executable at once, as patching code needs it. What forbids it here (a
/// seccomp filter, `PR_SET_MDWE`) is inherited by a program that is started from here.
pub(crate) fn allows_writable_code() -> bool {
    const SIZE: usize = 4096;
    let (all, fresh) = (
        libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: a fresh mapping where the kernel finds room; nothing that exists is touched.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, all, fresh, -1, 0) };
    if page == libc::MAP_FAILED {
        // Anything else, as a lack of memory, is not a rule.
        let error = std::io::Error::last_os_error().kind();
        return error != std::io::ErrorKind::PermissionDenied;
    }
    // SAFETY: the mapping just made, to which no pointer is kept.
    unsafe { libc::munmap(page, SIZE) };
    true
}

fn signal_mask() -> libc::sigset_t {
    // SAFETY: a signal set is plain data, for which zeroes are a valid value (the empty set).
    let mut mask: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: a null new set means "only ask"; the current one is written to a variable of ours.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), &raw mut mask) };
    mask
}

/// The process that sent a signal; `None` when the kernel did (a key on the terminal, a hang-up).
pub(crate) fn sender(info: &libc::siginfo_t) -> Option<libc::pid_t> {
    // Positive codes are the kernel's (sigaction(2)).
    if info.si_code > 0 {
        return None;
    }
    // SAFETY: codes of 0 and below mean that a process sent it by kill, tgkill or sigqueue, for which the kernel
    // fills in this field.
    Some(unsafe { info.si_pid() })
}
