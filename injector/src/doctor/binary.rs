//! What the symbols, versions and constants of a program say about how it was made. Its TLS: see `tls`.

use std::fs::File;
use std::path::Path;

use memchr::memmem;
use object::Endianness;
use object::elf;
use object::read::elf::{FileHeader, SectionHeader, SectionTable, Sym};
use object::read::{ReadCache, ReadRef};

use crate::target::elf::Data;

/// Largest string table and constant section that is searched.
const MAX_SECTION: u64 = 128 << 20;

/// A version of glibc's symbols.
pub(crate) type GlibcVersion = (u32, u32);

/// Exported functions that tell a runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exports {
    /// `napi_create_function`: Node.
    pub(crate) node: bool,
    /// `Py_BytesMain`: CPython.
    pub(crate) python: bool,
    /// `ruby_init`.
    pub(crate) ruby: bool,
    /// `zend_execute`: PHP.
    pub(crate) php: bool,
    /// `Perl_runops_standard`.
    pub(crate) perl: bool,
}

/// What was found in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    /// The newest glibc version it asks for.
    pub(crate) glibc_needed: Option<GlibcVersion>,
    /// The newest glibc version it provides (it is a `libc.so.6`).
    pub(crate) glibc_offered: Option<GlibcVersion>,
    /// Functions that it exports.
    pub(crate) exports: Exports,
    /// Rust's standard library is in it.
    pub(crate) rust: bool,
}

/// Examines a file; what cannot be read is not found.
pub(crate) fn examine(path: &Path) -> Traits {
    let Ok(file) = File::open(path) else {
        return Traits::default();
    };
    let data = ReadCache::new(file);
    let traits = if is_32_bit(&data) {
        traits::<elf::FileHeader32<Endianness>>(&data)
    } else {
        traits::<elf::FileHeader64<Endianness>>(&data)
    };
    traits.unwrap_or_default()
}

/// By `e_ident[EI_CLASS]`.
pub(super) fn is_32_bit(data: &Data) -> bool {
    let class = data.read_bytes_at(4, 1).ok().and_then(<[u8]>::first);
    class == Some(&elf::ELFCLASS32.0)
}

fn traits<H>(data: &Data) -> object::read::Result<Traits>
where
    H: FileHeader<Endian = Endianness>,
{
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let constants = bytes::<H>(&sections, endian, data, b".rodata");
    let has = |text: &str| memmem::find(constants, text.as_bytes()).is_some();
    Ok(Traits {
        glibc_needed: versions_needed::<H>(&sections, endian, data).unwrap_or_default(),
        glibc_offered: versions_offered::<H>(&sections, endian, data).unwrap_or_default(),
        exports: exports::<H>(&sections, endian, data).unwrap_or_default(),
        // Source paths in panic messages: they survive `strip`.
        rust: has("/rustc/") || has("library/std/src/"),
    })
}

/// The content of a section; empty when there is none, or an unreasonably large one.
pub(super) fn bytes<'data, H>(
    sections: &SectionTable<'data, H, &'data Data>,
    endian: Endianness,
    data: &'data Data,
    name: &[u8],
) -> &'data [u8]
where
    H: FileHeader<Endian = Endianness>,
{
    sections
        .section_by_name(endian, name)
        .map(|(_, section)| content::<H>(section, endian, data))
        .unwrap_or_default()
}

fn content<'data, H>(
    section: &'data H::SectionHeader,
    endian: Endianness,
    data: &'data Data,
) -> &'data [u8]
where
    H: FileHeader<Endian = Endianness>,
{
    if section.sh_size(endian).into() > MAX_SECTION {
        return &[];
    }
    section.data(endian, data).unwrap_or_default()
}

fn exports<'data, H>(
    sections: &SectionTable<'data, H, &'data Data>,
    endian: Endianness,
    data: &'data Data,
) -> object::read::Result<Exports>
where
    H: FileHeader<Endian = Endianness>,
{
    let mut exports = Exports::default();
    for name in defined::<H>(sections, endian, data, elf::SHT_DYNSYM)? {
        match name {
            b"napi_create_function" => exports.node = true,
            b"Py_BytesMain" => exports.python = true,
            b"ruby_init" => exports.ruby = true,
            b"zend_execute" => exports.php = true,
            b"Perl_runops_standard" => exports.perl = true,
            _ => {}
        }
    }
    Ok(exports)
}

/// The names that a symbol table defines.
pub(super) fn defined<'data, H>(
    sections: &SectionTable<'data, H, &'data Data>,
    endian: Endianness,
    data: &'data Data,
    table: elf::SectionType,
) -> object::read::Result<impl Iterator<Item = &'data [u8]>>
where
    H: FileHeader<Endian = Endianness>,
{
    let symbols = sections.symbols(endian, data, table)?;
    // One read of all names instead of one each: Node exports tens of thousands.
    let names = sections
        .section(symbols.string_section())
        .map(|section| content::<H>(section, endian, data))
        .unwrap_or_default();
    let entries: &'data [H::Sym] = symbols.symbols();
    Ok(entries.iter().filter_map(move |symbol| {
        let start = usize::try_from(symbol.st_name(endian)).ok()?;
        let name = names.get(start..)?.split(|&byte| byte == 0).next()?;
        (!symbol.is_undefined(endian)).then_some(name)
    }))
}

fn versions_needed<'data, H>(
    sections: &SectionTable<'data, H, &'data Data>,
    endian: Endianness,
    data: &'data Data,
) -> object::read::Result<Option<GlibcVersion>>
where
    H: FileHeader<Endian = Endianness>,
{
    let Some((mut files, link)) = sections.gnu_verneed(endian, data)? else {
        return Ok(None);
    };
    let strings = sections.strings(endian, data, link)?;
    let mut newest = None;
    while let Some((_, mut versions)) = files.next()? {
        while let Some(version) = versions.next()? {
            newest = newest.max(parse_version(version.name(endian, strings)?));
        }
    }
    Ok(newest)
}

fn versions_offered<'data, H>(
    sections: &SectionTable<'data, H, &'data Data>,
    endian: Endianness,
    data: &'data Data,
) -> object::read::Result<Option<GlibcVersion>>
where
    H: FileHeader<Endian = Endianness>,
{
    let Some((mut versions, link)) = sections.gnu_verdef(endian, data)? else {
        return Ok(None);
    };
    let strings = sections.strings(endian, data, link)?;
    let mut newest = None;
    while let Some((_, mut names)) = versions.next()? {
        if let Some(name) = names.next()? {
            newest = newest.max(parse_version(name.name(endian, strings)?));
        }
    }
    Ok(newest)
}

/// `GLIBC_2.34` as numbers.
fn parse_version(name: &[u8]) -> Option<GlibcVersion> {
    let name = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?;
    let (major, rest) = name.split_once('.')?;
    let minor = rest.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_rust_and_needs_some_glibc() {
        let traits = examine(&std::env::current_exe().unwrap());
        assert!(traits.rust);
        assert!(
            traits.glibc_needed > Some((2, 3)),
            "{:?}",
            traits.glibc_needed
        );
        assert_eq!(traits.glibc_offered, None);
        assert_eq!(traits.exports, Exports::default());
    }

    #[test]
    fn versions() {
        assert_eq!(parse_version(b"GLIBC_2.34"), Some((2, 34)));
        assert_eq!(parse_version(b"GLIBC_2.2.5"), Some((2, 2)));
        for other in [b"GLIBC_PRIVATE".as_slice(), b"GLIBCXX_3.4", b"", b"\xff"] {
            assert_eq!(parse_version(other), None);
        }
    }

    #[test]
    fn other_files_have_no_traits() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for content in [b"".as_slice(), b"text", b"\x7fELF\x02\x01\x01garbage"] {
            std::fs::write(file.path(), content).unwrap();
            assert_eq!(examine(file.path()), Traits::default());
        }
    }
}
