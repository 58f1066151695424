//! What a program's ELF headers say: enough to know whether the dynamic linker would load the agent.
//!
//! Only headers are read, through bounds-checked accessors: a program of 100 MB costs a few kilobytes, and
//! a damaged one gives an error.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadRef};

/// Longest `PT_INTERP` accepted: a path.
const MAX_INTERPRETER: u64 = 4096;
/// Largest `PT_DYNAMIC` and `PT_NOTE` read.
const MAX_SEGMENT: u64 = 1 << 20;
/// Most libraries listed.
const MAX_NEEDED: usize = 512;

/// Instruction set and word size: what two objects in one process must share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Platform {
    machine: u16,
    bits: u8,
    little_endian: bool,
}

impl Platform {
    /// A name that a person knows.
    pub(crate) fn name(self) -> String {
        let name = match elf::Machine(self.machine) {
            elf::EM_X86_64 if self.bits == 32 => "x32",
            elf::EM_X86_64 => "x86-64",
            elf::EM_386 => "32-bit x86",
            elf::EM_AARCH64 => "arm64",
            elf::EM_ARM => "32-bit ARM",
            elf::EM_RISCV if self.bits == 32 => "32-bit RISC-V",
            elf::EM_RISCV => "RISC-V",
            elf::EM_PPC64 => "PowerPC",
            elf::EM_S390 => "s390x",
            elf::EM_LOONGARCH => "LoongArch",
            _ => return format!("{}-bit machine type {}", self.bits, self.machine),
        };
        name.to_owned()
    }
}

/// What the headers of an ELF file say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ElfFacts {
    /// For which processor.
    pub(crate) platform: Platform,
    /// A program or shared object (not an object file or a core dump).
    pub(crate) runnable: bool,
    /// The dynamic linker it asks for (`PT_INTERP`).
    pub(crate) interpreter: Option<PathBuf>,
    /// The libraries it asks for (`DT_NEEDED`).
    pub(crate) needed: Vec<String>,
    /// Its own library name (`DT_SONAME`).
    pub(crate) soname: Option<String>,
    /// Where it wants its libraries searched (`DT_RUNPATH`, `DT_RPATH`).
    pub(crate) runpath: Vec<String>,
    /// Built by the Go toolchain.
    pub(crate) go: bool,
}

/// The C library whose dynamic linker a program asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Libc {
    /// GNU.
    Glibc,
    /// musl (Alpine).
    Musl,
    /// Known, and neither of them (Android, uClibc).
    Other,
    /// A dynamic linker with a name of its own.
    Unknown,
}

impl ElfFacts {
    /// The C library, told by the dynamic linker's name; `None` for a static program.
    pub(crate) fn libc(&self) -> Option<Libc> {
        let name = match &self.interpreter {
            Some(path) => path.file_name()?.to_string_lossy().into_owned(),
            // The dynamic linker itself can be run as a command (`ld-linux-x86-64.so.2 ./program`).
            None => self.soname.clone().filter(|name| name.starts_with("ld"))?,
        };
        Some(if name.starts_with("ld-musl") {
            Libc::Musl
        } else if name.contains("uClibc") || name.starts_with("linker") {
            Libc::Other
        } else if ["ld-linux", "ld64.so", "ld.so", "ld-lsb"]
            .iter()
            .any(|p| name.starts_with(p))
        {
            Libc::Glibc
        } else {
            Libc::Unknown
        })
    }
}

/// Why a file could not be read as ELF.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ElfError {
    /// The file could not be opened or read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It begins as ELF but the headers make no sense.
    #[error("{0}")]
    Damaged(#[from] object::read::Error),
}

/// A file read piece by piece.
pub(crate) type Data = ReadCache<File>;

/// The first bytes of a file, at most `limit`.
pub(crate) fn head(path: &Path, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(limit);
    File::open(path)?
        .take(limit as u64)
        .read_to_end(&mut head)?;
    Ok(head)
}

/// Reads the headers of `path`; the file begins with the ELF magic.
pub(crate) fn read(path: &Path) -> Result<ElfFacts, ElfError> {
    let data = ReadCache::new(File::open(path)?);
    // e_ident[EI_CLASS]
    let class = data_byte(&data, 4);
    Ok(if class == Some(elf::ELFCLASS32.0) {
        facts::<elf::FileHeader32<Endianness>>(&data)?
    } else {
        facts::<elf::FileHeader64<Endianness>>(&data)?
    })
}

fn data_byte(data: &Data, offset: u64) -> Option<u8> {
    data.read_bytes_at(offset, 1).ok()?.first().copied()
}

fn facts<H>(data: &Data) -> Result<ElfFacts, object::read::Error>
where
    H: FileHeader<Endian = Endianness>,
{
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let kind = header.e_type(endian);
    let mut facts = ElfFacts {
        platform: Platform {
            machine: header.e_machine(endian).0,
            bits: if header.is_class_64() { 64 } else { 32 },
            little_endian: header.is_little_endian(),
        },
        runnable: kind == elf::ET_EXEC || kind == elf::ET_DYN,
        interpreter: None,
        needed: Vec::new(),
        soname: None,
        runpath: Vec::new(),
        go: false,
    };
    let segments = header.program_headers(endian, data)?;
    for segment in segments {
        let size: u64 = segment.p_filesz(endian).into();
        match segment.p_type(endian) {
            elf::PT_INTERP if size <= MAX_INTERPRETER => {
                facts.interpreter = segment
                    .interpreter(endian, data)?
                    .map(|path| PathBuf::from(String::from_utf8_lossy(path).into_owned()));
            }
            elf::PT_DYNAMIC if size <= MAX_SEGMENT => {
                let entries = segment.dynamic(endian, data)?.unwrap_or_default();
                read_dynamic::<H>(&mut facts, entries, segments, endian, data);
            }
            elf::PT_NOTE if size <= MAX_SEGMENT => {
                facts.go |= has_go_note::<H>(segment, endian, data);
            }
            _ => {}
        }
    }
    facts.go |= has_go_section::<H>(header, endian, data);
    Ok(facts)
}

/// Takes the names out of the dynamic table. The table is what the dynamic linker itself reads; a
/// string that lies outside the file is left out.
fn read_dynamic<H>(
    facts: &mut ElfFacts,
    entries: &[H::Dyn],
    segments: &[H::ProgramHeader],
    endian: Endianness,
    data: &Data,
) where
    H: FileHeader<Endian = Endianness>,
{
    let entries: Vec<(elf::DynamicTag, u64)> = entries
        .iter()
        .map(|entry| (entry.d_tag(endian), entry.d_val(endian).into()))
        .take_while(|(tag, _)| *tag != elf::DT_NULL)
        .collect();
    let strings = entries
        .iter()
        .find(|(tag, _)| *tag == elf::DT_STRTAB)
        .and_then(|(_, address)| file_offset::<H>(segments, endian, *address));
    let Some(strings) = strings else { return };
    let end = data.len().unwrap_or(0);
    let string = |index: u64| -> Option<String> {
        let start = strings.checked_add(index).filter(|start| *start < end)?;
        let bytes = data.read_bytes_at_until(start..end, 0).ok()?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    for (tag, value) in entries {
        match tag {
            elf::DT_NEEDED if facts.needed.len() < MAX_NEEDED => facts.needed.extend(string(value)),
            elf::DT_SONAME => facts.soname = string(value),
            elf::DT_RUNPATH | elf::DT_RPATH => {
                let list = string(value).unwrap_or_default();
                let directories = list.split(':').filter(|directory| !directory.is_empty());
                facts.runpath.extend(directories.map(str::to_owned));
            }
            _ => {}
        }
    }
}

/// Where in the file the byte at a virtual address is.
fn file_offset<H>(segments: &[H::ProgramHeader], endian: Endianness, address: u64) -> Option<u64>
where
    H: FileHeader<Endian = Endianness>,
{
    segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
        .find_map(|segment| {
            let within = address.checked_sub(segment.p_vaddr(endian).into())?;
            let size: u64 = segment.p_filesz(endian).into();
            let offset: u64 = segment.p_offset(endian).into();
            (within < size)
                .then(|| offset.checked_add(within))
                .flatten()
        })
}

/// Go's linker writes its build id as a note of owner "Go".
fn has_go_note<H>(segment: &H::ProgramHeader, endian: Endianness, data: &Data) -> bool
where
    H: FileHeader<Endian = Endianness>,
{
    let Ok(Some(mut notes)) = segment.notes(endian, data) else {
        return false;
    };
    while let Ok(Some(note)) = notes.next() {
        if note.name() == b"Go" {
            return true;
        }
    }
    false
}

/// Sections survive `strip`, and Go's has a name of its own. Missing or damaged section headers are no
/// error: the kernel does not read them either.
fn has_go_section<H>(header: &H, endian: Endianness, data: &Data) -> bool
where
    H: FileHeader<Endian = Endianness>,
{
    header
        .sections(endian, data)
        .is_ok_and(|sections| sections.section_by_name(endian, b".go.buildinfo").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_bytes(bytes: &[u8]) -> Result<ElfFacts, ElfError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read(file.path())
    }

    fn own_head() -> Vec<u8> {
        head(&std::env::current_exe().unwrap(), 4096).unwrap()
    }

    #[test]
    fn this_test_is_a_dynamic_glibc_program() {
        let facts = read(&std::env::current_exe().unwrap()).unwrap();
        assert_eq!(facts.libc(), Some(Libc::Glibc));
        assert!(facts.runnable);
        assert!(
            facts.needed.iter().any(|name| name == "libc.so.6"),
            "{:?}",
            facts.needed
        );
        assert!(!facts.go);
        assert_eq!(
            facts.platform.name(),
            if cfg!(target_arch = "x86_64") {
                "x86-64"
            } else {
                "arm64"
            }
        );
    }

    #[test]
    fn truncated_and_corrupted_headers_are_errors() {
        let whole = own_head();
        for length in [4, 5, 16, 40, 63] {
            assert!(read_bytes(&whole[..length]).is_err(), "{length} bytes");
        }
        let mut bad_entry_size = whole.clone();
        bad_entry_size[54] = 1; // e_phentsize
        assert!(matches!(
            read_bytes(&bad_entry_size),
            Err(ElfError::Damaged(_))
        ));
        let mut far_away = whole;
        far_away[32..40].copy_from_slice(&u64::MAX.to_ne_bytes()); // e_phoff
        assert!(matches!(read_bytes(&far_away), Err(ElfError::Damaged(_))));
    }

    #[test]
    fn foreign_headers_are_named() {
        let mut arm = vec![0; 52];
        arm[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
        arm[16] = 2;
        arm[18] = 40;
        let facts = read_bytes(&arm).unwrap();
        assert_eq!(facts.platform.name(), "32-bit ARM");
        assert_eq!(facts.libc(), None);
        arm[18] = 0xfe;
        assert_eq!(
            read_bytes(&arm).unwrap().platform.name(),
            "32-bit machine type 254"
        );
    }

    #[test]
    fn libraries_by_their_dynamic_linker() {
        let base = read(&std::env::current_exe().unwrap()).unwrap();
        let table = [
            ("/lib64/ld-linux-x86-64.so.2", Libc::Glibc),
            ("/nix/store/x/lib/ld-linux-aarch64.so.1", Libc::Glibc),
            ("/lib64/ld64.so.2", Libc::Glibc),
            ("/lib/ld-musl-x86_64.so.1", Libc::Musl),
            ("/system/bin/linker64", Libc::Other),
            ("/lib/ld64-uClibc.so.1", Libc::Other),
            ("/opt/loader", Libc::Unknown),
        ];
        for (path, expected) in table {
            let facts = ElfFacts {
                interpreter: Some(path.into()),
                ..base.clone()
            };
            assert_eq!(facts.libc(), Some(expected), "{path}");
        }
        let linker = ElfFacts {
            interpreter: None,
            soname: Some("ld-linux.so.2".into()),
            ..base
        };
        assert_eq!(linker.libc(), Some(Libc::Glibc));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256), class in 0u8..4) {
            let _ = read_bytes(&bytes);
            let mut with_magic = [b"\x7fELF".as_slice(), &[class, 1, 1], &bytes].concat();
            let _ = read_bytes(&with_magic);
            with_magic.truncate(64);
            let _ = read_bytes(&with_magic);
        }

        #[test]
        fn flipped_bytes_never_panic(changes in proptest::collection::vec((0usize..1024, any::<u8>()), 1..12)) {
            let mut bytes = own_head();
            for (position, value) in changes {
                bytes[position] = value;
            }
            let _ = read_bytes(&bytes);
        }
    }
}
