//! Looking a function up in the symbol table of a loaded object, by the object's own hash table.
//!
//! No dlsym: while the loader announces new objects it holds its lock. The tables are those that the loader itself
//! uses, so an object that is loaded has them in order.

use super::objects::Object;
use libc::Elf64_Sym;

/// A function in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) address: usize,
    /// Bytes of its body; 0 when the table does not say.
    pub(super) size: usize,
}

/// Where functions are looked up: an object's dynamic symbols, or a file's full table.
pub(super) trait Lookup {
    /// The function of that name that the object itself defines.
    fn find(&self, name: &str) -> Option<Function>;
}

#[derive(Clone, Copy)]
enum Hash {
    Gnu(usize),
    SysV(usize),
}

/// The dynamic symbols of an object.
pub(super) struct Symbols {
    bias: usize,
    table: usize,
    strings: usize,
    hash: Hash,
    /// The loader will write into the object's code (DT_TEXTREL).
    pub(super) text_relocations: bool,
}

const DT_HASH: usize = 4;
const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;
const DT_TEXTREL: usize = 22;
const DT_FLAGS: usize = 30;
const DT_GNU_HASH: usize = 0x6fff_fef5;
const DF_TEXTREL: usize = 4;
/// Most entries of a dynamic section that are looked at.
const MOST_ENTRIES: usize = 1024;

impl Symbols {
    /// The symbols of a loaded object; `None` when it exports nothing by hash.
    ///
    /// # Safety
    /// The object must stay mapped while the result is in use.
    pub(super) unsafe fn of(object: &Object) -> Option<Self> {
        let (mut table, mut strings, mut gnu, mut sysv) = (0, 0, 0, 0);
        let mut text_relocations = false;
        // Some loaders leave these addresses as the file has them.
        let address = |value: usize| {
            if value < object.bias {
                value + object.bias
            } else {
                value
            }
        };
        for index in 0..MOST_ENTRIES {
            // SAFETY: the dynamic section ends with an entry of tag 0, at which the loop ends.
            let [tag, value] = unsafe { read::<[usize; 2]>(object.dynamic, index) };
            match tag {
                0 => break,
                DT_SYMTAB => table = address(value),
                DT_STRTAB => strings = address(value),
                DT_GNU_HASH => gnu = address(value),
                DT_HASH => sysv = address(value),
                DT_TEXTREL => text_relocations = true,
                DT_FLAGS => text_relocations |= value & DF_TEXTREL != 0,
                _ => {}
            }
        }
        let hash = match (gnu, sysv) {
            (0, 0) => return None,
            (0, at) => Hash::SysV(at),
            (at, _) => Hash::Gnu(at),
        };
        (table != 0 && strings != 0).then_some(Symbols {
            bias: object.bias,
            table,
            strings,
            hash,
            text_relocations,
        })
    }

    fn find_exact(&self, name: &[u8]) -> Option<Function> {
        match self.hash {
            Hash::Gnu(at) => self.find_gnu(at, name),
            Hash::SysV(at) => self.find_sysv(at, name),
        }
    }

    fn find_gnu(&self, at: usize, name: &[u8]) -> Option<Function> {
        // SAFETY: a GNU hash table: four words, the bloom filter, the buckets, the chains; indices are kept inside as the
        // format says, and a chain ends where its last bit is set.
        unsafe {
            let [buckets, first, filter, shift] = read::<[u32; 4]>(at, 0);
            if buckets == 0 || filter == 0 {
                return None;
            }
            let hash = gnu_hash(name);
            let filter_at = at + 16;
            let word: u64 = read(filter_at, (hash / 64 % filter) as usize);
            let bits = 1u64 << (hash % 64) | 1u64 << (hash.wrapping_shr(shift) % 64);
            if word & bits != bits {
                return None;
            }
            let buckets_at = filter_at + filter as usize * 8;
            let chains_at = buckets_at + buckets as usize * 4;
            let mut index: u32 = read(buckets_at, (hash % buckets) as usize);
            if index < first {
                return None;
            }
            loop {
                let link: u32 = read(chains_at, (index - first) as usize);
                if link | 1 == hash | 1
                    && let Some(found) = self.function(index as usize, name)
                {
                    return Some(found);
                }
                if link & 1 != 0 {
                    return None;
                }
                index += 1;
            }
        }
    }

    fn find_sysv(&self, at: usize, name: &[u8]) -> Option<Function> {
        // SAFETY: a System V hash table: two words, the buckets, the chains, each chain ending with index 0. No chain
        // is longer than there are symbols.
        unsafe {
            let [buckets, symbols] = read::<[u32; 2]>(at, 0);
            if buckets == 0 {
                return None;
            }
            let buckets_at = at + 8;
            let chains_at = buckets_at + buckets as usize * 4;
            let mut index: u32 = read(buckets_at, (sysv_hash(name) % buckets) as usize);
            for _ in 0..symbols {
                if index == 0 || index >= symbols {
                    return None;
                }
                if let Some(found) = self.function(index as usize, name) {
                    return Some(found);
                }
                index = read(chains_at, index as usize);
            }
            None
        }
    }

    /// Symbol `index`, if it is a defined function of that name.
    ///
    /// # Safety
    /// The table must have that symbol.
    unsafe fn function(&self, index: usize, name: &[u8]) -> Option<Function> {
        // SAFETY: by the caller's promise; a symbol's name is a NUL-terminated string in the string table.
        unsafe {
            let symbol: Elf64_Sym = read(self.table, index);
            if !is_function(&symbol) || !is_string(self.strings + symbol.st_name as usize, name) {
                return None;
            }
            Some(Function {
                address: self.bias + symbol.st_value as usize,
                size: symbol.st_size as usize,
            })
        }
    }
}

impl Lookup for Symbols {
    fn find(&self, name: &str) -> Option<Function> {
        self.find_exact(name.as_bytes())
    }
}

/// Whether a symbol is a function with a body. Not IFUNCs, which are only the way to one.
pub(super) fn is_function(symbol: &Elf64_Sym) -> bool {
    const FUNC: u8 = 2;
    symbol.st_info & 15 == FUNC && symbol.st_shndx != 0 && symbol.st_value != 0
}

/// Element `index` of an array of `T` at an address.
///
/// # Safety
/// The array must be mapped and have that element, any bytes of which must be a valid `T`.
unsafe fn read<T: Copy>(at: usize, index: usize) -> T {
    // SAFETY: by the caller's promise; alignment is not assumed.
    unsafe { (at as *const T).add(index).read_unaligned() }
}

/// Whether the NUL-terminated string at an address is `name`.
///
/// # Safety
/// There must be such a string.
unsafe fn is_string(at: usize, name: &[u8]) -> bool {
    // SAFETY: no byte after the first that differs is read, and the terminating NUL differs from every byte of a name.
    let same = |index: usize, byte: u8| unsafe { read::<u8>(at, index) } == byte;
    name.iter()
        .chain(&[0])
        .enumerate()
        .all(|(index, &byte)| same(index, byte))
}

fn gnu_hash(name: &[u8]) -> u32 {
    name.iter().fold(5381, |hash: u32, &byte| {
        hash.wrapping_mul(33).wrapping_add(u32::from(byte))
    })
}

fn sysv_hash(name: &[u8]) -> u32 {
    name.iter().fold(0, |hash: u32, &byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}

#[cfg(test)]
mod tests;
