//! `otel-run doctor` on programs with TLS of all kinds: small ELF files made here, of which nothing is run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use support::{Lab, Through, doctor, finish};

const OPENSSL: &str = "int SSL_free(void) { return 0; } int SSL_get_error(void) { return 0; } \
    int SSL_get_rbio(void) { return 0; }";
const OPENSSL_TEXT: &str = r#"const char *volatile where = "../ssl/ssl_lib.c";"#;
const MAIN: &str = "int main(void) { return 0; }";

/// The lines of the report about HTTPS, without marks.
fn https(report: &str) -> Vec<&str> {
    let lines = report
        .lines()
        .map(|line| line.trim_start_matches([' ', '✓', '!']));
    lines
        .filter(|line| line.starts_with("HTTPS") || line.contains("TLS library"))
        .collect()
}

#[test]
fn tls_in_the_executable() {
    let lab = Lab::new();
    let rustls = r#"const char *volatile where = "/registry/src/rustls-0.23.31/src/conn.rs";"#;
    let exported = "HTTPS seen: OpenSSL inside the executable (its functions are exported)";
    let symbols = "HTTPS seen: OpenSSL inside the executable (found by its symbol table: keep it, do not strip)";
    let stripped =
        "HTTPS not seen: OpenSSL inside the executable: the names of its functions are stripped";
    let not_watched = "this library is not watched";
    let none = "no TLS library is linked; a libssl or libgnutls is patched when it loads";
    let rows: [(&str, String, &[&str], String); 15] = [
        ("none", String::new(), &[], none.into()),
        ("exported", OPENSSL.into(), &["-rdynamic"], exported.into()),
        ("exported-stripped", OPENSSL.into(), &["-rdynamic", "-s"], exported.into()),
        ("symbols", OPENSSL.into(), &[], symbols.into()),
        ("fixed-address", OPENSSL.into(), &["-no-pie"], symbols.into()),
        ("static-functions", format!("{OPENSSL_TEXT} {}", OPENSSL.replace("int SSL", "static __attribute__((used)) int SSL")), &[], symbols.into()),
        ("stripped", format!("{OPENSSL} {OPENSSL_TEXT}"), &["-s"], stripped.into()),
        ("half", "int SSL_free(void) { return 0; } int SSL_get_error(void) { return 0; }".into(), &[], none.into()),
        (
            "boring",
            OPENSSL_TEXT.replace("ssl_lib.c", "ssl_lib.cc"),
            &["-s"],
            stripped.replace("OpenSSL", "BoringSSL"),
        ),
        (
            "gnutls",
            "int gnutls_record_send(void) { return 0; } int gnutls_record_recv(void) { return 0; }".into(),
            &[],
            symbols.replace("OpenSSL", "GnuTLS"),
        ),
        (
            "hashes-only",
            r#"const char *volatile version = "OpenSSL 3.0.19 27 Jan 2026";"#.into(),
            &["-s"],
            none.into(),
        ),
        (
            "rustls-stripped",
            rustls.into(),
            &["-s"],
            "HTTPS not seen: rustls inside the executable: it is compiled into the program, without functions of a \
             fixed name and form"
                .into(),
        ),
        (
            "rustls-names",
            "int _ZN6rustls4conn10connection6Reader4read17h0123456789abcdefE(void) { return 0; }".into(),
            &[],
            "HTTPS not seen: rustls inside the executable: it is compiled into the program, without functions of a \
             fixed name and form"
                .into(),
        ),
        (
            "mbed",
            "int mbedtls_ssl_read(void) { return 0; } int mbedtls_ssl_write(void) { return 0; }".into(),
            &[],
            format!("HTTPS not seen: Mbed TLS inside the executable: {not_watched}"),
        ),
        (
            "s2n",
            "int s2n_send(void) { return 0; } int s2n_recv(void) { return 0; }".into(),
            &["-rdynamic"],
            format!("HTTPS not seen: s2n-tls inside the executable: {not_watched}"),
        ),
    ];
    for (name, source, flags, expected) in rows {
        lab.compile(&format!("{source} {MAIN}"), name, flags);
        let (status, report) = doctor(&lab, &[], &[&format!("./{name}")]);
        assert_eq!(status, 0, "TLS blocks nothing: {report}");
        assert_eq!(https(&report), [expected], "{name}");
    }
}

#[test]
fn tls_in_libraries() {
    let lab = Lab::new();
    let library = |source: &str, name: &str, flags: &[&str]| {
        let soname = format!("-Wl,-soname,{name}");
        let shared = ["-shared", "-fPIC", "-Wl,-rpath,$ORIGIN", &soname];
        lab.compile(source, name, &[&shared, flags].concat());
    };
    let directory = format!("-L{}", lab.path("").display());
    let linked = |name: &'static str| [directory.clone(), format!("-l:{name}")];
    library(OPENSSL, "libssl-8bd944e8.so.3", &[]);
    library("", "libssl.so.1", &[]);
    library("int SSL_ImportFD, SSL_GetChannelInfo;", "libssl3.so", &[]);
    library("", "libnss3.so", &[]);
    library(OPENSSL_TEXT, "libbundle.so", &[]);
    let [place, client] = linked("libssl-8bd944e8.so.3");
    library("", "libclient.so", &["-Wl,--no-as-needed", &place, &client]);

    let none = "no TLS library is linked; a libssl or libgnutls is patched when it loads";
    let rows: [(&str, &[&str], &[&str]); 8] = [
        (
            "direct",
            &["libssl-8bd944e8.so.3"],
            &["HTTPS seen: libssl-8bd944e8.so.3 (patched when it loads)"],
        ),
        (
            "through-another",
            &["libclient.so"],
            &["HTTPS seen: libssl-8bd944e8.so.3 (patched when it loads)"],
        ),
        ("name-alone", &["libssl.so.1"], &[none]),
        ("nss-hashes", &["libnss3.so"], &[none]),
        (
            "nss",
            &["libssl3.so"],
            &[
                "HTTPS not seen: libssl3.so (NSS): its input and output go through layers of NSPR, which are not watched",
            ],
        ),
        (
            "bundled",
            &["libbundle.so"],
            &["HTTPS not seen: OpenSSL inside libbundle.so: it does not export its functions"],
        ),
        (
            "python3",
            &["libbundle.so"],
            &["HTTPS not seen: OpenSSL inside libbundle.so: it does not export its functions"],
        ),
        (
            "ruby",
            &[],
            &["HTTPS seen: libssl, when openssl is required (patched when it loads)"],
        ),
    ];
    for (name, libraries, expected) in rows {
        let mut flags = vec![
            "-Wl,--no-as-needed".to_owned(),
            "-Wl,-rpath,$ORIGIN".to_owned(),
        ];
        for library in libraries {
            flags.push(directory.clone());
            flags.push(format!("-l:{library}"));
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        lab.compile(MAIN, name, &flags);
        let (status, report) = doctor(&lab, &[], &[&format!("./{name}")]);
        assert_eq!(status, 0, "{report}");
        assert_eq!(https(&report), expected, "{name}");
    }
}

/// Refuses mappings that are writable and executable as systemd's MemoryDenyWriteExecute does.
const HARDENED: &str = r#"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#define FIELD(name) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))
int main(int argc, char **argv) {
    struct sock_filter filter[] = {
        FIELD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ, SYS_mmap, 0, 4),
        FIELD(args[2]), BPF_STMT(BPF_ALU | BPF_AND, PROT_WRITE | PROT_EXEC),
        BPF_JUMP(BPF_JMP | BPF_JEQ, PROT_WRITE | PROT_EXEC, 0, 1),
        BPF_STMT(BPF_RET, SECCOMP_RET_ERRNO | EPERM), BPF_STMT(BPF_RET, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    if (atoi(argv[1])) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 8;
    }
    execv(argv[2], argv + 2); return 9;
}"#;

#[test]
fn where_memory_is_hardened_nothing_is_promised() {
    let lab = Lab::new();
    let launcher = lab.compile(HARDENED, "hardened", &[]);
    let app = lab.compile(&format!("{OPENSSL} {MAIN}"), "app", &[]);
    for (hardened, expected) in [
        ("0", "✓ HTTPS seen: OpenSSL inside"),
        ("1", "! HTTPS not seen: OpenSSL inside"),
    ] {
        let mut command = lab.otel_run();
        command.env("OTEL_TRACES_EXPORTER", "console");
        command.arg("doctor").arg(&app).through(&launcher, hardened);
        let (status, report, stderr) = finish(&mut command);
        assert_eq!((status, stderr.as_str()), (0, ""), "{report}");
        assert!(report.contains(expected), "{report}");
        assert!(report.contains("✓ plain HTTP/1.x"), "{report}");
        assert_eq!(
            report.contains("MemoryDenyWriteExecute"),
            hardened == "1",
            "{report}"
        );
    }
}
