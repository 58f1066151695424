//! What the built command refuses to start, and what it says of it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use support::{Lab, finish};

#[test]
fn what_cannot_be_traced_is_refused_with_a_message() {
    let lab = Lab::new();
    let main = "int main(void) { return 0; }";
    lab.compile(main, "static", &["-static"]);
    let go = r#"__attribute__((section(".go.buildinfo"))) int info = 1; int main(void) { return !info; }"#;
    lab.compile(go, "static-go", &["-static"]);
    lab.compile(
        main,
        "musl",
        &["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"],
    );
    lab.compile(
        main,
        "lost",
        &["-Wl,--dynamic-linker=/nonexistent/ld-linux-x86-64.so.2"],
    );
    let mut foreign = vec![0; 52];
    foreign[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    foreign[16] = 2; // ET_EXEC
    foreign[18] = 40; // EM_ARM
    lab.executable("foreign", &foreign);
    let whole = std::fs::read("/bin/true").unwrap();
    lab.executable("truncated", &whole[..50]);
    let mut corrupted = whole;
    corrupted[54] = 1; // e_phentsize
    lab.executable("corrupted", &corrupted);
    lab.executable("binary", b"PK\x03\x04\0\0\0");
    let script = format!("#!{}\n", lab.path("static").display());
    lab.executable("script", script);
    lab.executable(
        "script-of-script",
        format!("#!{} -x\n", lab.path("script").display()),
    );
    lab.executable("loop", format!("#!{}\n", lab.path("loop").display()));
    lab.executable("windows", "#!/bin/sh\r\necho\r\n");
    lab.executable("lost-script", "#!/nonexistent/python\n");
    lab.executable("lost-env", "#!/usr/bin/env nonexistent-program\n");
    std::fs::write(lab.path("plain"), "echo").unwrap();
    std::fs::create_dir(lab.path("folder")).unwrap();

    let table = [
        (
            "./static",
            126,
            "cannot trace, so not started: ./static is statically linked",
        ),
        (
            "./static-go",
            126,
            "cannot trace, so not started: ./static-go is a statically linked Go program",
        ),
        (
            "./musl",
            126,
            "cannot trace, so not started: ./musl is built against musl (/lib/ld-musl-x86_64.so.1)",
        ),
        (
            "./foreign",
            126,
            "./foreign is a program for 32-bit ARM, this otel-run is for",
        ),
        (
            "./truncated",
            126,
            "./truncated is not a complete ELF program",
        ),
        (
            "./corrupted",
            126,
            "./corrupted is not a complete ELF program",
        ),
        (
            "./binary",
            126,
            "./binary is neither a program nor a script",
        ),
        ("./script", 126, "./script: cannot trace, so not started: "),
        ("./script-of-script", 126, "is statically linked"),
        (
            "./loop",
            126,
            "is a script whose interpreter is a script, and so on without end",
        ),
        ("./windows", 127, "./windows has Windows line ends"),
        (
            "./lost-script",
            127,
            "./lost-script asks for the interpreter /nonexistent/python, which does not exist",
        ),
        ("./lost-env", 127, "nonexistent-program is not found"),
        (
            "./lost",
            127,
            "./lost asks for the dynamic linker /nonexistent/ld-linux-x86-64.so.2",
        ),
        ("./plain", 126, "./plain may not be executed by this user"),
        ("./folder", 126, "./folder is a directory"),
        ("./absent", 127, "./absent does not exist"),
        ("absent", 127, "absent is not found"),
        ("plain", 127, "plain is not found"),
        ("", 127, "the command's name is empty"),
    ];
    for (command, expected, message) in table {
        for console in [None, Some("--console")] {
            let (status, stdout, stderr) =
                finish(lab.otel_run().args(console).arg("--").arg(command));
            assert_eq!(status, expected, "{command}: {stderr}");
            assert!(
                stderr.starts_with("otel-run: ") && stderr.contains(message),
                "{command}: {stderr}"
            );
            assert!(stderr.contains("\n  try: "), "{command}: {stderr}");
            assert_eq!(stdout, "");
        }
    }
    assert!(
        lab.loaded().is_empty(),
        "nothing was started: {:?}",
        lab.loaded()
    );
}

#[test]
fn a_program_that_changes_its_user_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new();
    let copy = lab.path("copy");
    std::fs::copy("/bin/true", &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o4755)).unwrap();
    assert_eq!(
        finish(lab.otel_run().arg("./copy")).0,
        0,
        "set-user-ID of oneself changes nothing"
    );
    if std::os::unix::fs::chown(&copy, Some(12345), Some(12345)).is_err() {
        return; // Only root can give files away.
    }
    for (mode, message) in [(0o4755, "set-user-ID"), (0o2755, "set-group-ID")] {
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(mode)).unwrap();
        let (status, _, stderr) = finish(lab.otel_run().arg("./copy"));
        assert_eq!(status, 126);
        assert!(
            stderr.contains(message) && stderr.contains("ignores LD_PRELOAD"),
            "{stderr}"
        );
    }
}
