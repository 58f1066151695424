use super::*;
use crate::hooks::real;
use crate::patch::objects;

#[unsafe(no_mangle)]
extern "C" fn otel_run_test_symbol(n: i32) -> i32 {
    std::hint::black_box(n) * 3
}

mod twice {
    pub(super) mod a {
        #[inline(never)]
        pub(in super::super) fn otel_run_test_twin(n: i32) -> i32 {
            std::hint::black_box(n) + 1
        }
    }
    pub(super) mod b {
        #[inline(never)]
        pub(in super::super) fn otel_run_test_twin(n: i32) -> i32 {
            std::hint::black_box(n) + 2
        }
    }
}

fn executable() -> Object {
    let debug = real::look_up(c"_r_debug").cast();
    // SAFETY: the linker's own list; the tests load nothing.
    let mut all = unsafe { objects::all(debug) }.unwrap();
    all.next().unwrap().0
}

#[test]
fn finds_functions_that_are_not_exported() {
    let object = executable();
    let file = File::of_executable().unwrap();
    let table = file.symbols(&object).unwrap();
    let found = table.find(&Name::Exact("otel_run_test_symbol")).unwrap();
    assert_eq!(found.address, otel_run_test_symbol as *const () as usize);
    assert!(found.size >= 5);
    for name in [
        "otel_run_test_symbo",
        "otel_run_test_symboll",
        "",
        "SSL_read",
    ] {
        assert_eq!(table.find(&Name::Exact(name)), None, "{name}");
    }
}

#[test]
fn finds_mangled_names_unless_several_fit() {
    let twins = [twice::a::otel_run_test_twin, twice::b::otel_run_test_twin];
    let object = executable();
    let file = File::of_executable().unwrap();
    let table = file.symbols(&object).unwrap();
    let twin = |is| {
        table.find(&Name::Mangled {
            part: "otel_run_test_twin",
            is,
        })
    };
    let first = twin(|name| memmem::find(name, b"5twice1a").is_some()).unwrap();
    assert_eq!(first.address, twins[0] as *const () as usize);
    assert_eq!(twin(|_| true), None, "which of the two?");
    assert_eq!(twin(|_| false), None);
    assert_eq!(twins[1](1), 3);
}

#[test]
fn only_the_objects_own_file_will_do() {
    let object = executable();
    let file = File::of_executable().unwrap();
    let other = Object {
        bias: object.bias + 0x1000,
        ..object
    };
    assert!(file.symbols(&other).is_none());
}

/// A file with one program header, a symbol table of one function and its names, in this order behind the header.
fn small_file() -> (Vec<u8>, Object) {
    const PROGRAM: usize = 64;
    const SECTIONS: usize = PROGRAM + 56;
    const SYMBOLS: usize = SECTIONS + 2 * 64;
    const NAMES: usize = SYMBOLS + 24;
    let mut file = vec![0u8; NAMES];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    let number = |n: usize| (n as u64).to_le_bytes();
    put(0, b"\x7fELF\x02");
    put(32, &number(PROGRAM));
    put(40, &number(SECTIONS));
    put(56, &[1]);
    put(60, &[2]);
    put(PROGRAM, &[2]);
    put(PROGRAM + 16, &number(0x800));
    put(SECTIONS + 4, &[2]);
    put(SECTIONS + 24, &number(SYMBOLS));
    put(SECTIONS + 32, &number(24));
    put(SECTIONS + 40, &[1]);
    put(SECTIONS + 64 + 24, &number(NAMES));
    put(SECTIONS + 64 + 32, &number(5));
    put(SYMBOLS, &[1, 0, 0, 0, 2, 0, 1]);
    put(SYMBOLS + 8, &number(0x40));
    put(SYMBOLS + 16, &number(9));
    file.extend(b"\0abc\0");
    let object = Object {
        bias: 0x1000,
        dynamic: 0x1800,
    };
    (file, object)
}

/// Whatever is cut off or overwritten in a file, reading it ends and finds what is there or nothing.
#[test]
fn broken_files_are_read_to_their_end() {
    let (file, object) = small_file();
    let find = |file: &[u8]| Table::of(file, &object)?.find(&Name::Exact("abc"));
    let found = find(&file);
    let expected = Function {
        address: 0x1040,
        size: 9,
    };
    assert_eq!(found, Some(expected));
    for len in 0..file.len() {
        assert_eq!(find(&file[..len]), None, "{len}");
    }
    let mut lost = 0;
    for at in 0..file.len() {
        for value in [0xff, 0x7f, 0] {
            let mut broken = file.clone();
            broken[at] = value;
            lost += usize::from(find(&broken) != found);
        }
    }
    assert!(lost > 20, "offsets, sizes and names matter");
}
