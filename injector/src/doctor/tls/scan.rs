//! Which implementations of TLS an ELF file has in it, and whether their functions can be found there.

use std::fs::File;
use std::path::Path;

use memchr::memmem;
use object::Endianness;
use object::elf;
use object::read::ReadCache;
use object::read::elf::{FileHeader, SectionTable};

use super::super::binary::{bytes, defined, is_32_bit};
use super::implementation::{ALL, Implementation};
use crate::target::elf::Data;

/// How the functions of an implementation can be found in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// The dynamic symbol table has them.
    Exported,
    /// Only the symbol table has them that `strip` removes.
    Symbols,
    /// Not at all.
    Gone,
}

/// An implementation in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inside {
    /// Which.
    pub(crate) implementation: &'static Implementation,
    /// Its name, or its variant's.
    pub(crate) called: &'static str,
    /// How to find it.
    pub(crate) names: Names,
}

/// Looks into a file; what cannot be read has none.
pub(crate) fn scan(path: &Path) -> Vec<Inside> {
    let Ok(file) = File::open(path) else {
        return Vec::new();
    };
    let data = ReadCache::new(file);
    let inside = if is_32_bit(&data) {
        implementations::<elf::FileHeader32<Endianness>>(&data)
    } else {
        implementations::<elf::FileHeader64<Endianness>>(&data)
    };
    inside.unwrap_or_default()
}

fn implementations<H>(data: &Data) -> object::read::Result<Vec<Inside>>
where
    H: FileHeader<Endian = Endianness>,
{
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let exported = functions::<H>(&sections, endian, data, elf::SHT_DYNSYM);
    let symbols = functions::<H>(&sections, endian, data, elf::SHT_SYMTAB);
    let decorated = bytes::<H>(&sections, endian, data, b".strtab");
    let constants = bytes::<H>(&sections, endian, data, b".rodata");
    let contains = |text: &[u8], part: &str| memmem::find(text, part.as_bytes()).is_some();
    let inside = ALL.iter().zip(exported.iter().zip(&symbols));
    let inside = inside.filter_map(|(implementation, (exported, symbols))| {
        let mut variants = implementation.constants.iter();
        let variant = variants.find(|(text, _)| contains(constants, text));
        let mangled = implementation.mangled;
        let names = match (exported, symbols) {
            (true, _) => Names::Exported,
            (false, true) => Names::Symbols,
            _ if variant.is_some() => Names::Gone,
            _ if mangled.is_some_and(|part| contains(decorated, part)) => Names::Gone,
            _ => return None,
        };
        Some(Inside {
            implementation,
            called: variant.map_or(implementation.name, |(_, called)| called),
            names,
        })
    });
    Ok(inside.collect())
}

/// Of each implementation, whether a symbol table defines all of its functions.
fn functions<'data, H>(
    sections: &SectionTable<'data, H, &'data Data>,
    endian: Endianness,
    data: &'data Data,
    table: elf::SectionType,
) -> [bool; ALL.len()]
where
    H: FileHeader<Endian = Endianness>,
{
    let mut found = ALL
        .each_ref()
        .map(|known| vec![false; known.functions.len()]);
    for name in defined::<H>(sections, endian, data, table)
        .into_iter()
        .flatten()
    {
        for (known, found) in ALL.iter().zip(&mut found) {
            let mut functions = known.functions.iter();
            if let Some(index) = functions.position(|function| function.as_bytes() == name) {
                found[index] = true;
            }
        }
    }
    found.map(|found| !found.is_empty() && found.into_iter().all(|function| function))
}
