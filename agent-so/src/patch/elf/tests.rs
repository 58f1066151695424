use super::*;
use crate::hooks::real;
use crate::patch::objects;
use std::ffi::{CStr, c_void};

/// Every object of the test program, with its symbols.
fn objects() -> Vec<(&'static CStr, Object)> {
    let debug = real::look_up(c"_r_debug").cast();
    // SAFETY: the linker's own list; the tests load nothing.
    let all = unsafe { objects::all(debug) }.unwrap();
    all.map(|(object, name)| (name, object)).collect()
}

fn libc_symbols() -> Symbols {
    let (_, object) = objects()
        .into_iter()
        .find(|(name, _)| name.to_bytes().ends_with(b"libc.so.6"))
        .unwrap();
    // SAFETY: libc stays.
    unsafe { Symbols::of(&object) }.unwrap()
}

fn dlsym(name: &CStr) -> usize {
    // SAFETY: a NUL-terminated name.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) as usize }
}

#[test]
fn finds_what_dlsym_finds() {
    let symbols = libc_symbols();
    assert!(matches!(symbols.hash, Hash::Gnu(_)));
    for name in [c"getpid", c"qsort", c"printf", c"socket", c"dlopen"] {
        let found = symbols.find(name.to_str().unwrap()).unwrap();
        assert_eq!(found.address, dlsym(name), "{name:?}");
        assert!(found.size > 0);
    }
}

#[test]
fn finds_only_functions_that_the_object_defines() {
    let symbols = libc_symbols();
    for name in ["environ", "SSL_read", "", "getpi", "getpidd", "_dl_argv"] {
        assert_eq!(symbols.find(name), None, "{name}");
    }
    // Chosen by the processor at load: an IFUNC.
    assert_eq!(symbols.find("strlen"), None);
}

/// The vDSO has the older table too, which is not what the linker prefers.
#[test]
fn the_older_hash_table_gives_the_same() {
    let (at, _) = tables(
        &["SSL_read", "SSL_write", "SSL_new", "a"],
        |names| {
            // Three buckets, so that there are chains.
            let mut words = vec![3u32, names.len() as u32 + 1, 0, 0, 0];
            let mut chains = vec![0u32; names.len() + 1];
            for (index, name) in names.iter().enumerate() {
                let bucket = 2 + (sysv_hash(name.as_bytes()) % 3) as usize;
                chains[index + 1] = words[bucket];
                words[bucket] = index as u32 + 1;
            }
            words.extend(chains);
            words
        },
        Hash::SysV,
    );
    for (n, name) in ["SSL_read", "SSL_write", "SSL_new", "a"].iter().enumerate() {
        let expected = Function {
            address: 0x10_0000 + (n + 1) * 0x100,
            size: n + 1,
        };
        assert_eq!(at.find_exact(name.as_bytes()), Some(expected), "{name}");
    }
    assert_eq!(at.find_exact(b"SSL_peek"), None);
    assert_eq!(at.find_exact(b""), None);
}

#[test]
fn empty_tables_have_nothing() {
    let (gnu, _) = tables(&[], |_| vec![0, 1, 0, 0], Hash::Gnu);
    assert_eq!(gnu.find_exact(b"a"), None);
    // What linkers write for no symbols: one bucket, one empty word of filter.
    let (gnu, _) = tables(&[], |_| vec![1, 1, 1, 0, 0, 0, 0], Hash::Gnu);
    assert_eq!(gnu.find_exact(b"a"), None);
    let (sysv, _) = tables(&[], |_| vec![0, 1], Hash::SysV);
    assert_eq!(sysv.find_exact(b"a"), None);
}

/// Symbols of these names, function `n` (from 1) of `n` bytes at 0x100 * n, with a hash table made by `hash`.
fn tables(
    names: &[&str],
    hash: impl Fn(&[&str]) -> Vec<u32>,
    kind: fn(usize) -> Hash,
) -> (Symbols, &'static [u32]) {
    let mut strings = vec![0u8];
    let mut table = vec![[0u8; 24]];
    for (n, name) in (1u64..).zip(names) {
        let mut entry = [0u8; 24];
        entry[..4].copy_from_slice(&(strings.len() as u32).to_le_bytes());
        entry[4] = 0x12;
        entry[6] = 1;
        entry[8..16].copy_from_slice(&(n * 0x100).to_le_bytes());
        entry[16..].copy_from_slice(&n.to_le_bytes());
        table.push(entry);
        strings.extend(name.bytes().chain([0]));
    }
    let words: &'static [u32] = hash(names).leak();
    let symbols = Symbols {
        bias: 0x10_0000,
        table: table.leak().as_ptr() as usize,
        strings: strings.leak().as_ptr() as usize,
        hash: kind(words.as_ptr() as usize),
        text_relocations: false,
    };
    (symbols, words)
}

#[test]
fn all_objects_of_a_process_can_be_read() {
    let mut with_symbols = 0;
    for (name, object) in objects() {
        // SAFETY: what is loaded at the start stays.
        if let Some(symbols) = unsafe { Symbols::of(&object) } {
            with_symbols += 1;
            assert!(!symbols.text_relocations, "{name:?}");
            let found = symbols.find("surely_not_a_function");
            assert_eq!(found, None);
        }
    }
    assert!(with_symbols >= 2);
    let ours = tests_object();
    assert!(real::is_ours(ours.dynamic as *const c_void));
}

fn tests_object() -> Object {
    objects()[0].1
}
