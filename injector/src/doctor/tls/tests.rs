use super::super::report::Level;
use super::*;

const FREE: Policy = Policy {
    refused: false,
    selinux: false,
};

fn found(name: &str, names: Names, library: Option<&str>) -> Found {
    let implementation = ALL.iter().find(|known| known.name == name).unwrap();
    Found {
        inside: Inside {
            implementation,
            called: implementation.name,
            names,
        },
        library: library.map(str::to_owned),
    }
}

fn texts(findings: &[Finding]) -> Vec<(Level, &str)> {
    findings.iter().map(Finding::parts).collect()
}

#[test]
fn what_each_runtime_is_told() {
    use Level::{Attention, Good};
    let ssl = || found("OpenSSL", Names::Exported, Some("libssl.so.3"));
    let gnutls = || found("GnuTLS", Names::Exported, Some("libgnutls.so.30"));
    let own = |names| found("OpenSSL", names, None);
    type Row<'a> = (Runtime, Vec<Found>, &'a [(Level, &'a str)]);
    let rows: [Row; 12] = [
        (
            Runtime::Native,
            vec![],
            &[(
                Good,
                "no TLS library is linked; a libssl or libgnutls is patched when it loads",
            )],
        ),
        (
            Runtime::Native,
            vec![ssl()],
            &[(Good, "HTTPS seen: libssl.so.3 (patched when it loads)")],
        ),
        (
            Runtime::Php,
            vec![ssl(), gnutls()],
            &[(
                Good,
                "HTTPS seen: libssl.so.3, libgnutls.so.30 (patched when they load)",
            )],
        ),
        (
            Runtime::Node,
            vec![own(Names::Exported)],
            &[(
                Good,
                "HTTPS seen: OpenSSL inside the executable (its functions are exported)",
            )],
        ),
        (
            Runtime::Rust,
            vec![own(Names::Symbols)],
            &[(
                Good,
                "HTTPS seen: OpenSSL inside the executable (found by its symbol table: keep it, do not strip)",
            )],
        ),
        (
            Runtime::Python,
            vec![],
            &[(
                Good,
                "HTTPS seen: libssl, when ssl is imported (patched when it loads)",
            )],
        ),
        (
            Runtime::Python,
            vec![ssl()],
            &[(Good, "HTTPS seen: libssl.so.3 (patched when it loads)")],
        ),
        (
            Runtime::Python,
            vec![found("OpenSSL", Names::Gone, Some("libpython3.12.so.1.0"))],
            &[(
                Attention,
                "HTTPS not seen: OpenSSL inside libpython3.12.so.1.0: it does not export its functions",
            )],
        ),
        (
            Runtime::Ruby,
            vec![gnutls()],
            &[
                (Good, "HTTPS seen: libgnutls.so.30 (patched when it loads)"),
                (
                    Good,
                    "HTTPS seen: libssl, when openssl is required (patched when it loads)",
                ),
            ],
        ),
        (
            Runtime::Native,
            vec![own(Names::Gone)],
            &[(
                Attention,
                "HTTPS not seen: OpenSSL inside the executable: the names of its functions are stripped",
            )],
        ),
        (
            Runtime::Native,
            // The agent reads no symbol table of a library that strip would remove.
            vec![ssl(), found("OpenSSL", Names::Symbols, Some("libgrpc.so"))],
            &[
                (Good, "HTTPS seen: libssl.so.3 (patched when it loads)"),
                (
                    Attention,
                    "HTTPS not seen: OpenSSL inside libgrpc.so: it does not export its functions",
                ),
            ],
        ),
        (
            Runtime::Java,
            vec![],
            &[(
                Attention,
                "HTTPS not seen: TLS of Java (JSSE) is inside the JVM and not seen yet; plain HTTP is",
            )],
        ),
    ];
    for (runtime, found, expected) in rows {
        let findings = findings(runtime, &found, FREE);
        assert_eq!(texts(&findings), expected, "{runtime:?} {found:?}");
    }
}

#[test]
fn what_is_not_watched_is_said_with_a_way_out() {
    let rows = [
        ("rustls", None, "rustls inside the executable: "),
        ("NSS", Some("libssl3.so"), "libssl3.so (NSS): "),
        (
            "Mbed TLS",
            Some("libmbedtls.so.14"),
            "libmbedtls.so.14 (Mbed TLS): ",
        ),
        (
            "wolfSSL",
            Some("libcoyote.so"),
            "wolfSSL inside libcoyote.so: ",
        ),
        ("s2n-tls", None, "s2n-tls inside the executable: "),
    ];
    for (name, library, what) in rows {
        for names in [Names::Exported, Names::Symbols, Names::Gone] {
            let findings = findings(Runtime::Native, &[found(name, names, library)], FREE);
            let [finding] = findings.as_slice() else {
                panic!("{name}: {findings:?}");
            };
            let (level, text) = finding.parts();
            assert_eq!(level, Level::Attention, "{text}");
            assert!(
                text.starts_with(&format!("HTTPS not seen: {what}")),
                "{text}"
            );
            assert!(
                finding
                    .hint()
                    .unwrap()
                    .contains("plain HTTP behind a proxy")
            );
        }
    }
}

#[test]
fn a_policy_that_refuses_patches_leaves_nothing_seen() {
    let refusing = Policy {
        refused: true,
        selinux: true,
    };
    let everything = [
        found("OpenSSL", Names::Symbols, None),
        found("GnuTLS", Names::Exported, Some("libgnutls.so.30")),
    ];
    let ruby = [found("GnuTLS", Names::Exported, Some("libgnutls.so.30"))];
    let rows: [(Runtime, &[Found], usize); 3] = [
        (Runtime::Native, &everything, 2),
        (Runtime::Ruby, &ruby, 2),
        (Runtime::Native, &[], 1),
    ];
    for (runtime, found, lines) in rows {
        let findings = findings(runtime, found, refusing);
        assert_eq!(findings.len(), lines, "{findings:?}");
        for (level, text) in texts(&findings) {
            assert_eq!(level, Level::Attention, "{text}");
            assert!(text.starts_with("HTTPS not seen: "), "{text}");
            assert!(text.ends_with("nothing can be patched"), "{text}");
        }
    }
}

#[test]
fn selinux_is_mentioned_where_it_could_matter() {
    let enforcing = Policy {
        refused: false,
        selinux: true,
    };
    let ssl = [found("OpenSSL", Names::Exported, Some("libssl.so.3"))];
    let last = |found: &[Found], runtime| -> (Level, String) {
        let findings = findings(runtime, found, enforcing);
        let (level, text) = findings.last().map(Finding::parts).unwrap();
        (level, text.to_owned())
    };
    let (level, text) = last(&ssl, Runtime::Native);
    assert_eq!(level, Level::Attention);
    assert!(text.starts_with("SELinux enforces"), "{text}");
    assert!(!last(&[], Runtime::Java).1.contains("SELinux"));
}

#[test]
fn a_library_that_is_nowhere_is_judged_by_its_name() {
    let rows = [
        ("libssl.so.3", Some("OpenSSL")),
        ("libssl-8bd944e8.so.3", Some("OpenSSL")),
        ("libgnutls.so.30", Some("GnuTLS")),
        ("libssl3.so", Some("NSS")),
        ("libnss3.so", None),
        ("libcrypto.so.3", None),
        ("libssl_helper.so", None),
    ];
    for (name, expected) in rows {
        let library = Library {
            name: name.to_owned(),
            path: None,
        };
        let found = find(Path::new("/nonexistent"), &[library]);
        let names: Vec<_> = found.iter().map(|found| found.inside.called).collect();
        assert_eq!(names, Vec::from_iter(expected), "{name}");
    }
}
