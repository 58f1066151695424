//! Replacing functions that no symbol lookup leads through us: those of libraries that are linked into the executable, loaded with
//! RTLD_LOCAL or RTLD_DEEPBIND, or reached by pointers.
//!
//! A library is known by the functions it defines, never by its file's name, and each copy of it in the process has
//! replacements of its own. Code is only changed where no thread can be: in our constructor while there is one thread, and
//! in the linker's announcement of new objects, before anything in them has run.

mod backend;
mod check;
mod elf;
mod loader;
mod objects;
mod symtab;

use crate::hooks::real;
use crate::sys::{heap, log, memory, raw};
use agent_engine::config::LogLevel;
use backend::{Backend, Chosen};
use check::Refusal;
use elf::{Function, Lookup, Symbols};
use objects::{Debug, Known, Meeting, Object};
use std::cell::UnsafeCell;
use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Copies of one library that are followed in one process (two libssl in a Python process is normal).
pub(crate) const COPIES: usize = 8;
/// Most families.
const FAMILIES: usize = 8;

/// One address for each copy; null where the copy has none.
pub(crate) type Originals = [AtomicPtr<c_void>; COPIES];

/// One function that is replaced.
pub(crate) struct Hook {
    pub(crate) name: &'static str,
    pub(crate) replacements: [unsafe extern "C" fn(); COPIES],
    /// The way to the original, published before the replacement is called.
    pub(crate) originals: &'static Originals,
}

/// One function that is only called.
pub(crate) struct Helper {
    pub(crate) name: &'static str,
    pub(crate) addresses: &'static Originals,
}

/// A library.
pub(crate) struct Family {
    /// For the log.
    pub(crate) name: &'static str,
    /// What defines all of these functions is such a library.
    pub(crate) marks: &'static [&'static str],
    /// Those that it defines are replaced: all of them or none.
    pub(crate) hooks: &'static [Hook],
    pub(crate) helpers: &'static [Helper],
    /// A copy is about to be replaced: originals and helpers are published, no replacement is called yet. (Its number may have been
    /// another's before.)
    pub(crate) begun: fn(copy: usize),
    /// The copy was unloaded, or could not be replaced after all.
    pub(crate) gone: fn(copy: usize),
}

/// Whether code may be changed now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// No other thread can be in the objects that are new.
    Safe,
    /// One may be.
    Late,
}

/// What is known of the process. All zeros at first, so that it takes no room in the file.
struct Watch {
    debug: *const Debug,
    families: Option<&'static [&'static Family]>,
    known: Known,
    /// Which object each copy is.
    copies: [[Option<Object>; COPIES]; FAMILIES],
    /// This process does not let code be changed.
    refused: bool,
}

struct Guarded {
    taken: AtomicBool,
    /// An announcement came while the watch was taken.
    missed: AtomicBool,
    watch: UnsafeCell<Watch>,
}

// SAFETY: the watch is only reached by who has set `taken`.
unsafe impl Sync for Guarded {}

static WATCH: Guarded = Guarded {
    taken: AtomicBool::new(false),
    missed: AtomicBool::new(false),
    watch: UnsafeCell::new(Watch {
        debug: std::ptr::null(),
        families: None,
        known: Known::new(),
        copies: [[None; COPIES]; FAMILIES],
        refused: false,
    }),
};

/// Runs `f` on the watch, then looks at what was announced meanwhile. Nobody waits: a child that was forked while another
/// thread was in here, or a process after a contained panic in here, finds the watch taken for ever, and replaces nothing more.
fn with_watch(f: impl FnOnce(&mut Watch)) {
    if WATCH.taken.swap(true, Ordering::Acquire) {
        WATCH.missed.store(true, Ordering::Release);
        return;
    }
    // SAFETY: `taken` was free, so this is the only reference.
    let watch = unsafe { &mut *WATCH.watch.get() };
    f(watch);
    while WATCH.missed.swap(false, Ordering::Acquire) {
        watch.look(Moment::Late);
    }
    WATCH.taken.store(false, Ordering::Release);
}

/// Replaces the functions of these libraries in what is loaded, and in all that will be. In our constructor.
pub(crate) fn start(families: &'static [&'static Family]) {
    let debug: *const Debug = real::look_up(c"_r_debug").cast();
    if families.is_empty() || debug.is_null() {
        return;
    }
    with_watch(|watch| {
        watch.debug = debug;
        watch.families = Some(families);
        let moment = if is_alone() {
            Moment::Safe
        } else {
            Moment::Late
        };
        watch.look(moment);
        // SAFETY: the linker's own structure.
        let followed = unsafe { loader::follow((*debug).brk) };
        if let Err(why) = followed
            && !watch.refused
        {
            log::line(
                LogLevel::Warn,
                format_args!("libraries that are loaded later are not seen: {why}"),
            );
        }
        if moment == Moment::Late {
            // What another thread loaded before the linker's announcements were followed.
            watch.look(Moment::Late);
        }
    });
}

/// Whether the process has one thread.
fn is_alone() -> bool {
    // SAFETY: a stat of zeros is a valid value to be overwritten.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    let path = c"/proc/self/task".as_ptr() as usize;
    // SAFETY: a NUL-terminated path, and a struct that outlives the call.
    let got = unsafe { raw::call(libc::SYS_stat, [path, &raw mut stat as usize, 0, 0, 0, 0]) };
    // A directory has two links and one more for each directory in it.
    got.is_ok() && stat.st_nlink == 3
}

impl Watch {
    fn families(&self) -> &'static [&'static Family] {
        self.families.unwrap_or_default()
    }

    /// Looks at the objects that were not there before, and forgets those that are gone.
    fn look(&mut self, moment: Moment) {
        // SAFETY: the linker's list; the caller is a constructor or the linker, which announces a change of it.
        let Some(objects) = (unsafe { objects::all(self.debug) }) else {
            return;
        };
        self.known.begin();
        for (object, name) in objects {
            let met = self.known.meet(object);
            if met == Meeting::New && !real::is_ours(object.dynamic as *const c_void) {
                self.look_at(&object, name, moment);
            }
        }
        let families = self.families();
        let copies = &mut self.copies;
        self.known.end(|gone| {
            for (family, copies) in families.iter().zip(copies.iter_mut()) {
                for (copy, slot) in copies.iter_mut().enumerate() {
                    if *slot == Some(gone) {
                        *slot = None;
                        (family.gone)(copy);
                    }
                }
            }
        });
    }

    fn look_at(&mut self, object: &Object, name: &CStr, moment: Moment) {
        let mut found = 0;
        // SAFETY: the object is loaded, and nobody unloads it while this runs.
        if let Some(symbols) = unsafe { Symbols::of(object) } {
            let refusal = symbols
                .text_relocations
                .then_some("the linker changes its code itself");
            found = self.look_in(&symbols, object, name, moment, refusal, 0);
        }
        let all = (1usize << self.families().len().min(FAMILIES)) - 1;
        if !name.is_empty() || found == all {
            return;
        }
        if let Some(file) = symtab::File::of_executable()
            && let Some(table) = file.symbols(object)
        {
            self.look_in(&table, object, name, moment, None, found);
        }
    }

    /// Takes over what `symbols` show the object to be, except for the families in the set `not`. Gives the set of those it is.
    fn look_in(
        &mut self,
        symbols: &impl Lookup,
        object: &Object,
        name: &CStr,
        moment: Moment,
        refusal: Option<Refusal>,
        not: usize,
    ) -> usize {
        let mut found = not;
        for (index, family) in self.families().iter().take(FAMILIES).enumerate() {
            let is = |mark: &&str| symbols.find(mark).is_some();
            if not & (1 << index) != 0 || family.marks.is_empty() || !family.marks.iter().all(is) {
                continue;
            }
            found |= 1 << index;
            if self.refused {
                continue; // It was said once.
            }
            let done = match (moment, refusal) {
                (Moment::Late, _) => Err("threads are running".into()),
                (_, Some(why)) => Err(why.into()),
                _ => self.take_over(index, object, symbols),
            };
            let name = match name.to_bytes() {
                b"" => b"the executable",
                name => name,
            };
            let (name, family) = (name.escape_ascii(), family.name);
            match done {
                Ok(count) => log::line(
                    LogLevel::Debug,
                    format_args!("{family} in {name}: {count} functions replaced"),
                ),
                Err(why) if self.refused => log::line(
                    LogLevel::Warn,
                    format_args!(
                        "{family} in {name} is not followed, nor any other library in this process: {why}"
                    ),
                ),
                Err(why) => log::line(
                    LogLevel::Info,
                    format_args!("{family} in {name} is not followed: {why}"),
                ),
            }
        }
        found
    }

    /// Replaces the functions of a copy. Gives how many.
    fn take_over(
        &mut self,
        index: usize,
        object: &Object,
        symbols: &impl Lookup,
    ) -> Result<usize, String> {
        let (family, slots) = (self.families()[index], &mut self.copies[index]);
        let Some(copy) = slots.iter().position(Option::is_none) else {
            return Err(format!("{COPIES} copies of it are followed already"));
        };
        if !heap::has_room(HEAP) {
            return Err("there is no memory".into());
        }
        let found = checked(family, symbols)?;
        if let Err(why) = Chosen::begin() {
            self.refused = true;
            return Err(why.into());
        }
        let done = prepare(family, &found, symbols, copy).and_then(|prepared| {
            (family.begun)(copy);
            // SAFETY: the caller's moment is safe: no other thread is in this object's code.
            unsafe { Chosen::enable(prepared) }.map_err(|why| {
                (family.gone)(copy);
                self.refused = true;
                why.into()
            })
        });
        Chosen::end();
        done?;
        slots[copy] = Some(*object);
        Ok(found.len())
    }
}

/// Memory that replacing functions takes at most: text of `/proc/self/maps`, and little else.
const HEAP: usize = 16 << 20;

/// The functions of a family that the object defines, each of which can be replaced.
fn checked(
    family: &Family,
    symbols: &impl Lookup,
) -> Result<Vec<(&'static Hook, Function)>, String> {
    let mut found = Vec::with_capacity(family.hooks.len());
    for hook in family.hooks {
        if let Some(function) = symbols.find(hook.name) {
            let refused = |why| format!("{}: {why}", hook.name);
            let code = body(&function).map_err(refused)?;
            check::check(code, function.size, function.address, Chosen::PATCH).map_err(refused)?;
            found.push((hook, function));
        }
    }
    Ok(found)
}

/// The code of a function, and up to an instruction more of what follows it on its last page.
fn body(function: &Function) -> Result<&'static [u8], Refusal> {
    const MOST: usize = 1 << 20;
    const MORE: usize = 16;
    if function.size == 0 || function.size > MOST {
        return Err("its size is not known");
    }
    let last = function.address + function.size - 1;
    let page = |address: usize| address & !(memory::PAGE - 1);
    let mut pages = (page(function.address)..=last).step_by(memory::PAGE);
    if !pages.all(memory::readable) {
        return Err("it cannot be read");
    }
    let len = function.size + MORE.min(page(last) + memory::PAGE - 1 - last);
    // SAFETY: these pages can be read, and stay so while their object is loaded, which it is as long as this is in use.
    Ok(unsafe { std::slice::from_raw_parts(function.address as *const u8, len) })
}

/// Prepares all functions of a copy, and publishes the ways to the originals and the helpers.
fn prepare(
    family: &Family,
    found: &[(&'static Hook, Function)],
    symbols: &impl Lookup,
    copy: usize,
) -> Result<Vec<<Chosen as Backend>::Prepared>, String> {
    let mut prepared = Vec::with_capacity(found.len());
    let mut ways = Vec::with_capacity(found.len());
    for (at, (hook, function)) in found.iter().enumerate() {
        // One function may have two names: it is replaced once, and both originals are the way to it.
        let same = |other: &(&Hook, Function)| other.1.address == function.address;
        if let Some(first) = found[..at].iter().position(same) {
            ways.push(ways[first]);
            continue;
        }
        let replacement = hook.replacements[copy] as *const c_void;
        // SAFETY: a function that passed the check; its replacement is of its type by the family's word.
        let one = unsafe { Chosen::prepare(function.address, replacement) }
            .map_err(|why| format!("{}: {why}", hook.name))?;
        ways.push(Chosen::trampoline(&one));
        prepared.push(one);
    }
    for hook in family.hooks {
        hook.originals[copy].store(std::ptr::null_mut(), Ordering::Release);
    }
    for ((hook, _), way) in found.iter().zip(&ways) {
        hook.originals[copy].store(*way, Ordering::Release);
    }
    for helper in family.helpers {
        let address = symbols.find(helper.name).map_or(0, |f| f.address);
        helper.addresses[copy].store(address as *mut c_void, Ordering::Release);
    }
    Ok(prepared)
}

/// What the linker calls when its list of objects has changed.
fn changed() {
    with_watch(|watch| watch.look(Moment::Safe));
}

#[cfg(test)]
mod tests;
