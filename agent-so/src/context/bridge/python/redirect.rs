//! Calls of two extension modules to the C API, led through us by their own tables of addresses: the interpreter's code, and
//! everybody else's calls, stay as they are.
//!
//! * `uvloop/loop`: `PyContext_Enter` and `PyContext_Exit`. The request that was just read is lent to the context for as long
//!   as the program's code runs in it: the context is the server's, shared by all its connections.
//! * `_asyncio`: `PyContext_CopyCurrent`, when a task or a callback gets its context.

use super::{READY, STAGE, Token, VAR, api, embedded, get, set};
use crate::hooks::contain;
use crate::sys::memory::PAGE;
use crate::sys::process::{self, State};
use crate::sys::raw;
use crate::sys::thread::{self, READS_OUTSIDE};
use api::Object;
use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// Leads the calls of what is loaded now through us. The interpreter's lock is not needed.
pub(super) fn start() {
    // SAFETY: the callback has the demanded type.
    unsafe { libc::dl_iterate_phdr(Some(look), std::ptr::null_mut()) };
}

type Target = (&'static [u8], *const ());

unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    contain(|| {
        // SAFETY: the linker passes a valid description, whose name, if any, is a string.
        let (info, name) = unsafe {
            let info = &*info;
            let name = if info.dlpi_name.is_null() {
                c""
            } else {
                CStr::from_ptr(info.dlpi_name)
            };
            (info, name.to_bytes())
        };
        let path = name.split(|c| *c == b'/').rev().take(2);
        let mut parts = path.map(|part| part.split(|c| *c == b'.').next().unwrap_or_default());
        match (parts.next(), parts.next()) {
            (Some(b"_asyncio"), _) => {
                redirect(
                    info,
                    &[(b"PyContext_CopyCurrent", copy_current as *const ())],
                );
            }
            (Some(b"loop"), Some(b"uvloop")) => redirect(
                info,
                &[
                    (b"PyContext_Enter", enter as *const ()),
                    (b"PyContext_Exit", exit as *const ()),
                ],
            ),
            _ => {}
        }
    });
    0
}

/// Program headers of an object.
fn headers(info: &libc::dl_phdr_info) -> &[libc::Elf64_Phdr] {
    // SAFETY: the linker describes a loaded object by that many headers.
    unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) }
}

const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;
const DT_RELA: usize = 7;
const DT_RELASZ: usize = 8;
const DT_PLTRELSZ: usize = 2;
const DT_JMPREL: usize = 23;
const R_GLOB_DAT: u64 = 6;
const R_JUMP_SLOT: u64 = 7;

/// Writes `targets` into the slots that the linker has filled with the functions of these names.
fn redirect(info: &libc::dl_phdr_info, targets: &[Target]) {
    let bias = info.dlpi_addr as usize;
    let Some(dynamic) = headers(info).iter().find(|h| h.p_type == libc::PT_DYNAMIC) else {
        return;
    };
    let [
        mut strings,
        mut symbols,
        mut rela,
        mut rela_size,
        mut plt,
        mut plt_size,
    ] = [0usize; 6];
    let mut at = (bias + dynamic.p_vaddr as usize) as *const [usize; 2];
    // SAFETY: the dynamic section of a loaded object, which ends with a tag of 0; glibc has made its addresses absolute.
    unsafe {
        while (*at)[0] != 0 {
            let [tag, value] = *at;
            match tag {
                DT_STRTAB => strings = value,
                DT_SYMTAB => symbols = value,
                DT_RELA => rela = value,
                DT_RELASZ => rela_size = value,
                DT_JMPREL => plt = value,
                DT_PLTRELSZ => plt_size = value,
                _ => {}
            }
            at = at.add(1);
        }
    }
    if [strings, symbols].iter().any(|address| *address < bias) {
        return;
    }
    for (table, size) in [(rela, rela_size), (plt, plt_size)] {
        for index in 0..size / size_of::<libc::Elf64_Rela>() {
            // SAFETY: the relocations, symbols and names of a loaded object, by its own tables.
            unsafe {
                let entry = &*(table as *const libc::Elf64_Rela).add(index);
                let symbol = (symbols as *const libc::Elf64_Sym).add((entry.r_info >> 32) as usize);
                let kind = entry.r_info & 0xffff_ffff;
                if kind != R_GLOB_DAT && kind != R_JUMP_SLOT {
                    continue;
                }
                let name = CStr::from_ptr((strings + (*symbol).st_name as usize) as *const _);
                if let Some((_, to)) = targets.iter().find(|t| t.0 == name.to_bytes()) {
                    write(info, bias + entry.r_offset as usize, *to);
                }
            }
        }
    }
}

/// Stores an address into a slot, which may be read-only since its object was loaded.
///
/// # Safety
/// `slot` must be an aligned word of the object that holds the address of a function of the type of `to`'s.
unsafe fn write(info: &libc::dl_phdr_info, slot: usize, to: *const ()) {
    let bias = info.dlpi_addr as usize;
    let guarded = headers(info)
        .iter()
        .filter(|h| h.p_type == libc::PT_GNU_RELRO)
        .any(|h| {
            let start = bias + h.p_vaddr as usize;
            (start..start + h.p_memsz as usize).contains(&slot)
        });
    let page = slot & !(PAGE - 1);
    let protect = |protection: i32| {
        // SAFETY: a page of the object's data.
        unsafe {
            raw::call(
                libc::SYS_mprotect,
                [page, PAGE, protection as usize, 0, 0, 0],
            )
        }
    };
    if guarded && protect(libc::PROT_READ | libc::PROT_WRITE).is_err() {
        return;
    }
    // SAFETY: by the caller's promise; one store, so that a thread that calls meanwhile finds the one or the other.
    let word = unsafe { AtomicPtr::from_ptr(slot as *mut *mut c_void) };
    word.store(to.cast_mut().cast(), Ordering::Release);
    if guarded {
        let _ = protect(libc::PROT_READ);
    }
}

/// The state, if the bridge is in use.
fn in_use() -> Option<&'static State> {
    (STAGE.load(Ordering::Acquire) == READY)
        .then(process::state)
        .flatten()
}

/// In the place of `PyContext_Enter`: the interpreter's lock is held.
unsafe extern "C-unwind" fn enter(context: Object) -> c_int {
    // SAFETY: the module's own call.
    let result = unsafe { api::context_enter(context) };
    let thread = thread::current();
    thread.set(READS_OUTSIDE);
    let pending = thread.pending.replace(0);
    if result == 0
        && pending != 0
        && thread.lent.get() == [0; 2]
        && let Some(state) = in_use()
    {
        let undo = set(state, Token::decode(pending));
        if !undo.is_null() {
            thread.lent.set([context as usize, undo as usize]);
        }
        embedded::look(state);
    }
    result
}

/// In the place of `PyContext_Exit`: the interpreter's lock is held.
unsafe extern "C-unwind" fn exit(context: Object) -> c_int {
    let thread = thread::current();
    let [lent_to, undo] = thread.lent.get();
    if lent_to == context as usize && undo != 0 {
        thread.lent.set([0; 2]);
        let mut error = [std::ptr::null_mut(); 3];
        let at = error.as_mut_ptr();
        // SAFETY: the lock is held, this is the context in which the variable was set, and `undo` our reference to what that gave.
        // An exception that is on its way is kept.
        unsafe {
            api::error_fetch(at, at.add(1), at.add(2));
            if api::var_reset(VAR.load(Ordering::Relaxed), undo as Object) != 0 {
                api::error_clear();
            }
            api::dec_ref(undo as Object);
            let [kind, value, trace] = error;
            api::error_restore(kind, value, trace);
        }
    }
    // SAFETY: the module's own call.
    unsafe { api::context_exit(context) }
}

/// In the place of `PyContext_CopyCurrent`: the interpreter's lock is held. A copy made on behalf of a connection is bound to
/// the request under way on it, or, before the first one, known to come from here.
unsafe extern "C-unwind" fn copy_current() -> Object {
    // SAFETY: the module's own call.
    let copy = unsafe { api::context_copy() };
    if !copy.is_null()
        && let Some(state) = in_use()
    {
        let now = get(state);
        let bound = bind(state, now);
        // SAFETY: the lock is held; a new context that nobody else knows.
        if bound != now && unsafe { api::context_enter(copy) } == 0 {
            let undo = set(state, bound);
            // SAFETY: as above; `undo` is our reference.
            unsafe {
                if !undo.is_null() {
                    api::dec_ref(undo);
                }
                api::context_exit(copy);
            }
        }
    }
    copy
}

fn bind(state: &State, token: Token) -> Token {
    let Token::Socket { cookie, .. } = token else {
        return token;
    };
    match state.cells.find(cookie) {
        Some(cell) if cell.reader != 0 => Token::Request(cell.request),
        _ => Token::Socket {
            cookie,
            watched: true,
        },
    }
}
