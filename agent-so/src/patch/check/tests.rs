use super::*;

/// Where the table's functions are.
const IP: usize = 0x40_1000;

fn verdict(body: &[u8], after: &[u8]) -> Result<(), Refusal> {
    let code = [body, after].concat();
    check(&code, body.len(), IP, 5)
}

#[test]
fn ordinary_functions_may_be_replaced() {
    let accepted: [(&str, &[u8], &[u8]); 13] = [
        (
            "push; mov; xor; ret",
            b"\x55\x48\x89\xe5\x31\xc0\x5d\xc3",
            b"",
        ),
        (
            "endbr64; sub rsp, 24",
            b"\xf3\x0f\x1e\xfa\x48\x83\xec\x18\x48\x83\xc4\x18\xc3",
            b"",
        ),
        (
            "sub rsp, 8; call (SSL_write_ex)",
            b"\x48\x83\xec\x08\xe8\0\x01\0\0\x48\x83\xc4\x08\xc3",
            b"",
        ),
        (
            "mov ecx, 0; jmp elsewhere",
            b"\xb9\0\0\0\0\xe9\0\x10\0\0",
            b"",
        ),
        (
            "a branch forward out of the beginning",
            b"\x74\x05\x90\x90\x90\x90\x90\xc3",
            b"",
        ),
        (
            "a loop to the very beginning",
            b"\x48\xff\xcf\x48\x85\xff\x75\xf8\xc3",
            b"",
        ),
        (
            "a loop to the first byte that stays",
            b"\x48\x83\xec\x08\x90\x48\xff\xcf\x75\xfb\xc3",
            b"",
        ),
        ("a relative load", b"\x48\x8b\x05\0\x10\0\0\xc3", b""),
        (
            "its own address is taken",
            b"\x48\x8d\x05\xf9\xff\xff\xff\xc3",
            b"",
        ),
        ("ret, padded by nop", b"\xc3", b"\x90\x90\x90\x90\x90"),
        (
            "ret, padded by long nop",
            b"\xc3",
            b"\x66\x66\x2e\x0f\x1f\x84\0\0\0\0\0",
        ),
        ("xor; ret, padded by int3", b"\x31\xc0\xc3", b"\xcc\xcc"),
        (
            "mov rax, 64 bits; ret",
            b"\x48\xb8\x01\x02\x03\x04\x05\x06\x07\x08\xc3",
            b"",
        ),
    ];
    for (what, body, after) in accepted {
        assert_eq!(verdict(body, after), Ok(()), "{what}");
    }
}

#[test]
fn what_would_break_is_refused() {
    let refused: [(&str, &[u8], &[u8], &str); 20] = [
        (
            "jmp rel32",
            b"\xe9\0\x10\0\0\xc3",
            b"",
            "begins with a jump",
        ),
        (
            "jmp rel8",
            b"\xeb\x10\x90\x90\x90\x90",
            b"",
            "begins with a jump",
        ),
        (
            "jmp [rip]",
            b"\xff\x25\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08",
            b"",
            "begins with a jump",
        ),
        (
            "endbr64; jmp",
            b"\xf3\x0f\x1e\xfa\xe9\0\x10\0\0",
            b"",
            "begins with a jump",
        ),
        (
            "int3",
            b"\xcc\x48\x89\xe5\x31\xc0\xc3",
            b"",
            "begins with a jump",
        ),
        (
            "mov rax, 64 bits; jmp rax",
            b"\x48\xb8\x01\x02\x03\x04\x05\x06\x07\x08\xff\xe0",
            b"",
            "begins with a jump",
        ),
        (
            "mov r11, 64 bits; jmp r11",
            b"\x49\xbb\x01\x02\x03\x04\x05\x06\x07\x08\x41\xff\xe3",
            b"",
            "begins with a jump",
        ),
        (
            "push; ret",
            b"\x68\x01\x02\x03\x04\xc3",
            b"",
            "begins with a jump",
        ),
        (
            "ret, and another function",
            b"\xc3",
            b"\x55\x48\x89\xe5\x90",
            "too short",
        ),
        (
            "ret, and too little padding",
            b"\xc3",
            b"\x90\x90\x90",
            "too short",
        ),
        (
            "xor; ret; not padding",
            b"\x31\xc0\xc3\x31\xc0\xc3",
            b"",
            "too short",
        ),
        (
            "a body that runs on into the next",
            b"\x31\xc0",
            b"\x31\xc0\x31\xc0",
            "too short",
        ),
        (
            "a loop into the beginning",
            b"\x55\x48\x89\xe5\x90\x48\xff\xcf\x75\xf7\xc3",
            b"",
            "branches into",
        ),
        (
            "a long branch into it",
            b"\x55\x48\x89\xe5\x90\x0f\x84\xf6\xff\xff\xff\xc3",
            b"",
            "branches into",
        ),
        (
            "a call into it",
            b"\x55\x48\x89\xe5\x90\xe8\xf7\xff\xff\xff\xc3",
            b"",
            "branches into",
        ),
        (
            "a branch within it",
            b"\x74\x01\x90\x31\xc0\xc3",
            b"",
            "branches into",
        ),
        (
            "a branch into an instruction cut in two",
            b"\x48\x81\xec\0\x10\0\0\xeb\xfd\xc3",
            b"",
            "branches into",
        ),
        (
            "call $+5",
            b"\xe8\0\0\0\0\x58\xc3",
            b"",
            "asks for its own address",
        ),
        (
            "reads its own code",
            b"\x48\x8b\x05\xfa\xff\xff\xff\xc3",
            b"",
            "refers to its own",
        ),
        (
            "no instruction",
            b"\x55\x48\x89\xe5\x90\x06\xc3",
            b"",
            "cannot be decoded",
        ),
    ];
    for (what, body, after, why) in refused {
        let refusal = verdict(body, after).expect_err(what);
        assert!(refusal.contains(why), "{what}: {refusal}");
    }
}

#[test]
fn a_size_that_is_not_known_is_refused() {
    assert!(check(b"\x55\x48\x89\xe5\x90\xc3", 0, IP, 5).is_err());
    assert!(check(b"\x55", 2, IP, 5).is_err());
    assert!(check(b"", 0, IP, 5).is_err());
}

/// A longer patch needs more of the body.
#[test]
fn the_patch_of_the_back_end_counts() {
    let body = b"\x55\x48\x89\xe5\x31\xc0\x5d\xc3";
    assert_eq!(check(body, body.len(), IP, 5), Ok(()));
    assert!(check(body, body.len(), IP, 16).is_err());
}
