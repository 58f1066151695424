use super::*;
use crate::hooks::real;
use crate::patch::objects;

#[unsafe(no_mangle)]
extern "C" fn otel_run_test_symbol(n: i32) -> i32 {
    std::hint::black_box(n) * 3
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
    let found = table.find("otel_run_test_symbol").unwrap();
    assert_eq!(found.address, otel_run_test_symbol as *const () as usize);
    assert!(found.size >= 5);
    for name in [
        "otel_run_test_symbo",
        "otel_run_test_symboll",
        "",
        "SSL_read",
    ] {
        assert_eq!(table.find(name), None, "{name}");
    }
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

/// A file with one program header, a symbol table of functions (where the name is, and the address) and their names, in this
/// order behind the header.
fn small_file(names: &[u8], functions: &[(u8, usize)]) -> (Vec<u8>, Object) {
    const PROGRAM: usize = 64;
    const SECTIONS: usize = PROGRAM + 56;
    const SYMBOLS: usize = SECTIONS + 2 * 64;
    let end = SYMBOLS + 24 * functions.len();
    let mut file = vec![0u8; end];
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
    put(SECTIONS + 32, &number(24 * functions.len()));
    put(SECTIONS + 40, &[1]);
    put(SECTIONS + 64 + 24, &number(end));
    put(SECTIONS + 64 + 32, &number(names.len()));
    for (i, (name, address)) in functions.iter().enumerate() {
        let at = SYMBOLS + 24 * i;
        put(at, &[*name, 0, 0, 0, 2, 0, 1]);
        put(at + 8, &number(*address));
        put(at + 16, &number(9));
    }
    file.extend(names);
    let object = Object {
        bias: 0x1000,
        dynamic: 0x1800,
    };
    (file, object)
}

/// BoringSSL has OPENSSL_free beside SSL_free, and not every linker lets one string be the end of the other.
#[test]
fn a_name_may_be_the_end_of_another_and_must_fit_one_function() {
    type Row<'a> = (&'a [u8], &'a [(u8, usize)], Option<usize>);
    let rows: [Row<'_>; 6] = [
        (b"\0xabc\0", &[(1, 0x40), (2, 0x80)], Some(0x1080)),
        (b"\0xabc\0abc\0", &[(1, 0x40), (6, 0x80)], Some(0x1080)),
        (b"\0abc\0abc\0", &[(1, 0x40), (5, 0x80)], None),
        (b"\0abc\0abc\0", &[(1, 0x40), (5, 0x40)], Some(0x1040)),
        (b"\0abc\0", &[(1, 0x40), (1, 0x80)], None),
        (b"\0abcd\0", &[(1, 0x40)], None),
    ];
    for (names, functions, expected) in rows {
        let (file, object) = small_file(names, functions);
        let found = Table::of(&file, &object).unwrap().find("abc");
        assert_eq!(
            found.map(|f| f.address),
            expected,
            "{}",
            names.escape_ascii()
        );
    }
}

/// Whatever is cut off or overwritten in a file, reading it ends and finds what is there or nothing.
#[test]
fn broken_files_are_read_to_their_end() {
    let (file, object) = small_file(b"\0abc\0", &[(1, 0x40)]);
    let find = |file: &[u8]| Table::of(file, &object)?.find("abc");
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

#[test]
fn what_is_near_a_function_is_found_by_the_same_rules() {
    let names = b"\0my_one\0my_two\0xmy_two\0other_two\0my_on\0my_three\0";
    let at = |name: &[u8]| memmem::find(names, name).unwrap() as u8;
    let [one, two] = [at(b"my_one\0"), at(b"my_two\0")];
    let within = at(b"xmy_two\0") + 1;
    let rest = [(at(b"my_on\0"), 0x70), (at(b"other_two\0"), 0x60)];
    let cases: [(&[(u8, usize)], Option<usize>); 3] = [
        (&[(one, 0x40), (two, 0x50)], Some(0x1050)),
        (&[(one, 0x40), (two, 0x50), (within, 0x50)], Some(0x1050)),
        (&[(one, 0x40), (two, 0x50), (within, 0x80)], None),
    ];
    for (functions, expected) in cases {
        let (file, object) = small_file(names, &[functions, &rest].concat());
        let table = Table::of(&file, &object).unwrap();
        let find = |name| table.find(name).map(|f| f.address);
        assert_eq!(find("my_one"), Some(0x1040));
        assert_eq!(table.near.borrow().prefix, b"my_");
        assert_eq!(find("my_two"), expected);
        assert_eq!(find("my_on"), Some(0x1070));
        assert_eq!(find("other_two"), Some(0x1060));
        assert_eq!(find("my_three"), None);
        assert_eq!(find("my_on"), Some(0x1070));
    }
}
