//! Gives node the script when it opens the agent's own file.
//!
//! Only the calls that node (or its shared library, or libuv's) makes are diverted, by their import slots, so that no
//! other program pays for it. The script comes from a memory file, made anew each time: no descriptor is kept.

use crate::hooks::real;
use crate::sys::raw;
use agent_engine::resource::program::base_name;
use libc::{Elf64_Rela, Elf64_Sym, dl_phdr_info};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

type Open = unsafe extern "C" fn(*const c_char, c_int, c_int) -> c_int;

struct Redirection {
    path: CString,
    content: &'static [u8],
    real: Open,
}

static REDIRECTION: OnceLock<Redirection> = OnceLock::new();

/// From here on `path` opened by node is `content`, or it says why not. In the constructor.
pub(super) fn redirect(path: CString, content: &'static [u8]) -> Result<(), &'static str> {
    // Without a script nothing would take the option out of NODE_OPTIONS again, and children without the agent would fail.
    close(memory_file(content).ok_or("no file in memory can be made")?);
    let real = real::look_up(c"open64");
    if real.is_null() {
        return Err("libc has no open64");
    }
    // SAFETY: libc's open64, which takes its third argument, if any, where a third argument goes.
    let real = unsafe { std::mem::transmute::<*mut c_void, Open>(real) };
    let made = Redirection {
        path,
        content,
        real,
    };
    if REDIRECTION.set(made).is_err() {
        return Err("there is a second one");
    }
    let diverted = AtomicUsize::new(0);
    let data = (&raw const diverted).cast_mut().cast();
    // SAFETY: the callback has the demanded type, and its data outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(look), data) };
    if diverted.into_inner() == 0 {
        return Err("node does not open files by libc");
    }
    Ok(())
}

/// What node calls instead of `open64`.
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    let Some(redirection) = REDIRECTION.get() else {
        return -1;
    };
    // SAFETY: the program's own argument, which the kernel would take for a string too.
    let is_ours = unsafe { libc::strcmp(path, redirection.path.as_ptr()) } == 0;
    if is_ours && let Some(fd) = memory_file(redirection.content) {
        return fd;
    }
    let path = if is_ours { c"/dev/null".as_ptr() } else { path };
    // SAFETY: the program's own call; or an empty file in place of one that is no script.
    unsafe { (redirection.real)(path, flags, mode) }
}

fn memory_file(content: &[u8]) -> Option<c_int> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let room = (&raw mut limit) as usize;
    // SAFETY: asks for a limit of this process; the room is one for a limit.
    let known = unsafe {
        raw::call(
            libc::SYS_prlimit64,
            [0, libc::RLIMIT_FSIZE as usize, 0, room, 0, 0],
        )
    };
    if known.is_err() || limit.rlim_cur < content.len() as u64 {
        // To write more than it allows would end the program with a signal.
        return None;
    }
    let arguments = [
        c"otel-run".as_ptr() as usize,
        libc::MFD_CLOEXEC as usize,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: a string and a flag.
    let fd = unsafe { raw::call(libc::SYS_memfd_create, arguments) }.ok()?;
    let written = raw::write(fd as c_int, content) == Ok(content.len());
    // SAFETY: the descriptor is the one just made.
    let rewound = unsafe { raw::call(libc::SYS_lseek, [fd, 0, libc::SEEK_SET as usize, 0, 0, 0]) };
    if written && rewound.is_ok() {
        return Some(fd as c_int);
    }
    close(fd as c_int);
    None
}

/// Closes a memory file.
fn close(fd: c_int) {
    // SAFETY: `memory_file` has just made the descriptor; nobody else knows it.
    let _ = unsafe { raw::call(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0]) };
}

/// The libraries that a distribution's node consists of.
const LIBRARIES: [&[u8]; 2] = [b"libnode.so", b"libuv.so"];

unsafe extern "C" fn look(info: *mut dl_phdr_info, _: usize, data: *mut c_void) -> c_int {
    // SAFETY: the linker passes a valid description with a name, and `data` is the counter of `redirect`.
    let (info, diverted) = unsafe { (&*info, &*data.cast::<AtomicUsize>()) };
    let name = if info.dlpi_name.is_null() {
        c""
    } else {
        // SAFETY: as above.
        unsafe { CStr::from_ptr(info.dlpi_name) }
    };
    let name = base_name(name.to_bytes());
    if name.is_empty() || LIBRARIES.iter().any(|library| name.starts_with(library)) {
        // SAFETY: the object is loaded and relocated, and no other thread runs yet.
        let count = unsafe { divert(info) };
        diverted.fetch_add(count, Ordering::Relaxed);
    }
    0
}

const DT_PLTRELSZ: usize = 2;
const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;
const DT_RELA: usize = 7;
const DT_RELASZ: usize = 8;
const DT_JMPREL: usize = 23;
const R_X86_64_GLOB_DAT: u32 = 6;
const R_X86_64_JUMP_SLOT: u32 = 7;

/// Puts [`open`] into the slots by which the object calls `open64`; returns how many.
unsafe fn divert(info: &dl_phdr_info) -> usize {
    // SAFETY: the linker's own description of an object that is loaded.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let bias = info.dlpi_addr as usize;
    let find = |kind| headers.iter().find(|header| header.p_type == kind);
    let Some(dynamic) = find(libc::PT_DYNAMIC) else {
        return 0;
    };
    let mut found = [0usize; 24];
    let mut at = (bias + dynamic.p_vaddr as usize) as *const [usize; 2];
    loop {
        // SAFETY: the dynamic section ends with an entry of tag 0.
        let [tag, value] = unsafe { *at };
        match found.get_mut(tag) {
            _ if tag == 0 => break,
            Some(room) => *room = value,
            None => {}
        }
        // SAFETY: that was not the last entry.
        at = unsafe { at.add(1) };
    }
    let relro = find(libc::PT_GNU_RELRO).map_or(0..0, |header| {
        let start = bias + header.p_vaddr as usize;
        start..start + header.p_memsz as usize
    });
    let mut count = 0;
    for (table, size) in [(DT_JMPREL, DT_PLTRELSZ), (DT_RELA, DT_RELASZ)] {
        let (table, size) = (found[table] as *const Elf64_Rela, found[size]);
        if table.is_null() {
            continue;
        }
        for index in 0..size / size_of::<Elf64_Rela>() {
            // SAFETY: within the table, whose size the object tells.
            let entry = unsafe { &*table.add(index) };
            let (kind, symbol) = (entry.r_info as u32, (entry.r_info >> 32) as usize);
            if !matches!(kind, R_X86_64_GLOB_DAT | R_X86_64_JUMP_SLOT) {
                continue;
            }
            // SAFETY: the symbol's index and its name's offset come from the object's own tables.
            let name = unsafe {
                let symbol = &*(found[DT_SYMTAB] as *const Elf64_Sym).add(symbol);
                CStr::from_ptr((found[DT_STRTAB] as *const c_char).add(symbol.st_name as usize))
            };
            let slot = bias + entry.r_offset as usize;
            // SAFETY: a pointer-sized slot of that function, in memory of the object's.
            if name == c"open64" && unsafe { put(slot, relro.contains(&slot)) } {
                count += 1;
            }
        }
    }
    count
}

unsafe fn put(slot: usize, protected: bool) -> bool {
    let page = slot & !(crate::sys::memory::PAGE - 1);
    let protect = |access: c_int| {
        let length = slot + size_of::<usize>() - page;
        // SAFETY: pages of a loaded object that hold data only.
        unsafe { raw::call(libc::SYS_mprotect, [page, length, access as usize, 0, 0, 0]) }.is_ok()
    };
    if protected && !protect(libc::PROT_READ | libc::PROT_WRITE) {
        return false;
    }
    // SAFETY: by the caller's promise; writable, and nobody else runs.
    unsafe { *(slot as *mut Open) = open };
    if protected {
        protect(libc::PROT_READ);
    }
    true
}
