//! The full symbol table of the executable's file, for functions that are linked in but not exported.
//!
//! It is not loaded, so the file is mapped for the time of the search. Most executables are stripped and have none; in the
//! others a search of the name strings says first whether there is anything to find.

use super::elf::{Function, Lookup, is_function};
use super::objects::Object;
use crate::sys::{heap, raw};
use libc::{Elf64_Ehdr, Elf64_Phdr, Elf64_Shdr, Elf64_Sym};
use memchr::memmem;
use std::cell::RefCell;
use std::ops::Range;

/// A file in memory.
pub(super) struct File {
    at: usize,
    len: usize,
}

impl File {
    /// The file of the running program.
    pub(super) fn of_executable() -> Option<Self> {
        let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as usize;
        let path = c"/proc/self/exe".as_ptr() as usize;
        let here = libc::AT_FDCWD as usize;
        // SAFETY: a NUL-terminated path.
        let fd = unsafe { raw::call(libc::SYS_openat, [here, path, flags, 0, 0, 0]) }.ok()?;
        let file = Self::map(fd);
        // SAFETY: the descriptor was opened above and nobody else knows of it.
        let _ = unsafe { raw::call(libc::SYS_close, [fd, 0, 0, 0, 0, 0]) };
        file
    }

    fn map(fd: usize) -> Option<Self> {
        // SAFETY: a stat of zeros is a valid value to be overwritten.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        let stat_at = &raw mut stat as usize;
        // SAFETY: the struct outlives the call.
        unsafe { raw::call(libc::SYS_fstat, [fd, stat_at, 0, 0, 0, 0]) }.ok()?;
        let len = usize::try_from(stat.st_size).ok().filter(|&len| len > 0)?;
        let (read, private) = (libc::PROT_READ as usize, libc::MAP_PRIVATE as usize);
        // SAFETY: a fresh mapping at an address of the kernel's choice touches nothing that exists.
        let at = unsafe { raw::call(libc::SYS_mmap, [0, len, read, private, fd, 0]) }.ok()?;
        Some(File { at, len })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped until the drop; the file of a running program cannot be written to or shortened.
        unsafe { std::slice::from_raw_parts(self.at as *const u8, self.len) }
    }

    /// Its symbols, when it has them and is the file of `object` (a program may have been started through the linker).
    pub(super) fn symbols(&self, object: &Object) -> Option<Table<'_>> {
        Table::of(self.bytes(), object)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the mapping made above; nothing borrowed from it outlives the file.
        let _ = unsafe { raw::call(libc::SYS_munmap, [self.at, self.len, 0, 0, 0, 0]) };
    }
}

/// A symbol table and its names.
pub(super) struct Table<'a> {
    symbols: &'a [u8],
    names: &'a [u8],
    bias: usize,
    /// The functions of the library that was found last: where one is, there are others, and looking each up in all of a large
    /// program would take its time.
    near: RefCell<Near<'a>>,
}

/// The functions whose names begin alike: up to the first underscore.
#[derive(Default)]
struct Near<'a> {
    prefix: &'a [u8],
    functions: Vec<(usize, Function)>,
}

/// Most of them.
const MOST_NEAR: usize = 16 * 1024;

/// Most places in the table of strings where one name is looked for.
const MOST_PLACES: usize = 16;

impl<'a> Table<'a> {
    fn of(file: &'a [u8], object: &Object) -> Option<Self> {
        let header: Elf64_Ehdr = read(file, 0)?;
        if header.e_ident.get(..5)? != b"\x7fELF\x02" {
            return None;
        }
        let is_of_object =
            each::<Elf64_Phdr>(file, header.e_phoff, header.e_phnum).any(|segment| {
                segment.p_type == libc::PT_DYNAMIC
                    && object.bias.wrapping_add(segment.p_vaddr as usize) == object.dynamic
            });
        if !is_of_object {
            return None;
        }
        let table = each::<Elf64_Shdr>(file, header.e_shoff, header.e_shnum)
            .find(|section| section.sh_type == SHT_SYMTAB)?;
        let names =
            each::<Elf64_Shdr>(file, header.e_shoff, header.e_shnum).nth(table.sh_link as usize)?;
        Some(Table {
            symbols: file.get(range(&table)?)?,
            names: file.get(range(&names)?)?,
            bias: object.bias,
            near: RefCell::default(),
        })
    }

    /// Gathers the functions whose names begin like this one, for the names that will be asked for next.
    fn gather(&self, name: &[u8]) {
        let Some(at) = memmem::find(self.names, name) else {
            return;
        };
        let len = name.iter().position(|&byte| byte == b'_').unwrap_or(0);
        let prefix = &self.names[at..=at + len];
        if len == 0 || !heap::has_room(2 * MOST_NEAR * size_of::<(usize, Function)>()) {
            return;
        }
        let begins = |symbol: &Elf64_Sym| {
            let rest = self.names.get(symbol.st_name as usize..);
            is_function(symbol) && rest.is_some_and(|rest| rest.starts_with(prefix))
        };
        let found = self
            .symbols
            .chunks_exact(size_of::<Elf64_Sym>())
            .filter_map(|bytes| read::<Elf64_Sym>(bytes, 0))
            .filter(begins)
            .map(|symbol| (symbol.st_name as usize, self.function(&symbol)));
        let functions: Vec<_> = found.take(MOST_NEAR).collect();
        if functions.len() < MOST_NEAR {
            *self.near.borrow_mut() = Near { prefix, functions };
        }
    }

    fn function(&self, symbol: &Elf64_Sym) -> Function {
        Function {
            address: self.bias.wrapping_add(symbol.st_value as usize),
            size: symbol.st_size as usize,
        }
    }

    /// The functions that are called by the string at `offset`.
    fn named(&self, offset: usize) -> impl Iterator<Item = Function> {
        self.symbols
            .chunks_exact(size_of::<Elf64_Sym>())
            .filter(move |bytes| bytes[..4] == (offset as u32).to_le_bytes())
            .filter_map(|bytes| read::<Elf64_Sym>(bytes, 0))
            .filter(is_function)
            .map(|symbol| self.function(&symbol))
    }

    /// The functions of this name. In the table of strings it may be the end of a longer one, and stand more than once.
    fn all(&self, name: &str) -> impl Iterator<Item = Function> {
        let mut whole = [0u8; 128];
        let needle = match whole.get_mut(..name.len()) {
            Some(room) => {
                room.copy_from_slice(name.as_bytes());
                &whole[..=name.len()]
            }
            None => &[],
        };
        let mut places = [0; MOST_PLACES];
        let found = memmem::find_iter(self.names, needle)
            .take(if needle.is_empty() { 0 } else { MOST_PLACES })
            .zip(&mut places)
            .map(|(at, place)| *place = at)
            .count();
        (0..found).flat_map(move |at| self.named(places[at]))
    }
}

/// The only one there is.
fn only(mut functions: impl Iterator<Item = Function>) -> Option<Function> {
    let mut found = None;
    let unique = functions.all(|function| match found {
        None => {
            found = Some(function);
            true
        }
        Some(known) => known == function,
    });
    found.filter(|_| unique)
}

impl Lookup for Table<'_> {
    /// A name that fits several functions (two static ones of one name, say) is none: it cannot be known which is meant.
    fn find(&self, name: &str) -> Option<Function> {
        let name_bytes = name.as_bytes();
        {
            let near = self.near.borrow();
            if !near.prefix.is_empty() && name_bytes.starts_with(near.prefix) {
                let is = |offset: usize| {
                    let rest = self.names[offset..].strip_prefix(name_bytes);
                    rest.is_some_and(|rest| rest.first() == Some(&0))
                };
                let same = near.functions.iter().filter(|(offset, _)| is(*offset));
                return only(same.map(|(_, function)| *function));
            }
        }
        let found = only(self.all(name))?;
        self.gather(name_bytes);
        Some(found)
    }
}

const SHT_SYMTAB: u32 = 2;

fn range(section: &Elf64_Shdr) -> Option<Range<usize>> {
    let start = section.sh_offset as usize;
    Some(start..start.checked_add(section.sh_size as usize)?)
}

/// A structure of the file at an offset, if it lies inside.
fn read<T: Plain>(file: &[u8], at: usize) -> Option<T> {
    let bytes = file.get(at..at.checked_add(size_of::<T>())?)?;
    // SAFETY: that many bytes are there, any bytes are a valid `T`, and alignment is not assumed.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

fn each<T: Plain>(file: &[u8], at: u64, count: u16) -> impl Iterator<Item = T> {
    (0..usize::from(count)).map_while(move |index| {
        let at = usize::try_from(at).ok()?;
        read(file, at.checked_add(index * size_of::<T>())?)
    })
}

/// # Safety
/// Any bytes must be a valid value of the type.
unsafe trait Plain: Copy {}
// SAFETY: structures of integers.
unsafe impl Plain for Elf64_Ehdr {}
// SAFETY: as above.
unsafe impl Plain for Elf64_Phdr {}
// SAFETY: as above.
unsafe impl Plain for Elf64_Shdr {}
// SAFETY: as above.
unsafe impl Plain for Elf64_Sym {}

#[cfg(test)]
mod tests;
