//! What kind of program it is, and what of it will be seen.

use std::path::Path;

use super::binary::Traits;
use super::libraries::Library;
use super::report::Finding;

/// What a program is written in, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// `CPython`, `PyPy`.
    Python,
    /// Node.js.
    Node,
    /// A JVM.
    Java,
    /// Ruby.
    Ruby,
    /// PHP.
    Php,
    /// Perl.
    Perl,
    /// Go.
    Go,
    /// Rust.
    Rust,
    /// A shell, whose children matter.
    Shell,
    /// C, C++ and the rest.
    Native,
}

/// Names (without path, digits and dots at the end are ignored) that tell the runtime.
const NAMES: [(&str, Runtime); 19] = [
    ("python", Runtime::Python),
    ("pypy", Runtime::Python),
    ("node", Runtime::Node),
    ("nodejs", Runtime::Node),
    ("java", Runtime::Java),
    ("ruby", Runtime::Ruby),
    ("php", Runtime::Php),
    ("php-fpm", Runtime::Php),
    ("php-cgi", Runtime::Php),
    ("perl", Runtime::Perl),
    ("sh", Runtime::Shell),
    ("bash", Runtime::Shell),
    ("dash", Runtime::Shell),
    ("zsh", Runtime::Shell),
    ("ksh", Runtime::Shell),
    ("env", Runtime::Shell),
    ("timeout", Runtime::Shell),
    ("nice", Runtime::Shell),
    ("xargs", Runtime::Shell),
];

/// Tells the runtime: by what the file exports and asks for, else by its name.
pub(crate) fn detect(program: &Path, go: bool, traits: &Traits, libraries: &[Library]) -> Runtime {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    if let Some((_, runtime)) = NAMES.iter().find(|(known, _)| *known == name) {
        return *runtime;
    }
    let asks_for = |start: &str| {
        libraries
            .iter()
            .any(|library| library.name.starts_with(start))
    };
    let exports = traits.exports;
    if go {
        Runtime::Go
    } else if exports.node || asks_for("libnode.so") {
        Runtime::Node
    } else if exports.python || asks_for("libpython") {
        Runtime::Python
    } else if asks_for("libjvm.so") || asks_for("libjli.so") {
        Runtime::Java
    } else if exports.ruby || asks_for("libruby") {
        Runtime::Ruby
    } else if exports.php || asks_for("libphp") {
        Runtime::Php
    } else if exports.perl || asks_for("libperl") {
        Runtime::Perl
    } else if traits.rust {
        Runtime::Rust
    } else {
        Runtime::Native
    }
}

/// What will be seen, and what not; `tls` is what is said of HTTPS.
pub(crate) fn findings(runtime: Runtime, tls: Vec<Finding>) -> Vec<Finding> {
    let mut findings = vec![kind(runtime)];
    if runtime == Runtime::Shell {
        return findings;
    }
    if runtime == Runtime::Go {
        findings.push(Finding::blocks(
            "Go makes its system calls itself, not through libc: nothing is seen of it",
            "use OpenTelemetry's Go SDK in it",
        ));
        return findings;
    }
    findings.push(Finding::good(
        "plain HTTP/1.x over libc's sockets: requests that it serves and sends are seen",
    ));
    findings.extend(tls);
    findings.push(Finding::attention(
        "HTTP/2, gRPC and databases: not seen by this version",
        "their bytes pass through untouched",
    ));
    if runtime == Runtime::Node {
        findings.push(Finding::attention(
            "an event loop: a request that it sends is joined to one that it serves only while no other is open",
            "otherwise it begins a trace of its own: rather no parent than a wrong one",
        ));
    }
    findings
}

fn kind(runtime: Runtime) -> Finding {
    let name = match runtime {
        Runtime::Python => "Python",
        Runtime::Node => "Node.js",
        Runtime::Java => "Java",
        Runtime::Ruby => "Ruby",
        Runtime::Php => "PHP",
        Runtime::Perl => "Perl",
        Runtime::Go => "Go",
        Runtime::Rust => "Rust",
        Runtime::Native => "a native program",
        Runtime::Shell => {
            return Finding::attention(
                "a shell or wrapper: what it starts is decided anew",
                "run doctor on the program that it starts for what will be seen of that",
            );
        }
    };
    Finding::good(format!("runtime: {name}"))
}

#[cfg(test)]
mod tests {
    use super::super::binary::Exports;
    use super::*;

    fn library(name: &str) -> Library {
        Library {
            name: name.to_owned(),
            path: None,
        }
    }

    #[test]
    fn runtimes() {
        let plain = Traits::default();
        let node = Traits {
            exports: Exports {
                node: true,
                ..Exports::default()
            },
            ..plain
        };
        let rust = Traits {
            rust: true,
            ..plain
        };
        let table: [(&str, bool, Traits, &[Library], Runtime); 10] = [
            ("/usr/bin/python3.11", false, plain, &[], Runtime::Python),
            ("/usr/local/bin/node", false, plain, &[], Runtime::Node),
            ("/opt/electron", false, node, &[], Runtime::Node),
            ("/usr/sbin/php-fpm8.2", false, plain, &[], Runtime::Php),
            ("/usr/bin/perl5.36.0", false, plain, &[], Runtime::Perl),
            (
                "/app/uwsgi",
                false,
                plain,
                &[library("libpython3.11.so.1.0")],
                Runtime::Python,
            ),
            ("/app/server", true, rust, &[], Runtime::Go),
            ("/app/server", false, rust, &[], Runtime::Rust),
            ("/bin/dash", false, plain, &[], Runtime::Shell),
            (
                "/usr/sbin/nginx",
                false,
                plain,
                &[library("libssl.so.3")],
                Runtime::Native,
            ),
        ];
        for (path, go, traits, libraries, expected) in table {
            assert_eq!(
                detect(Path::new(path), go, &traits, libraries),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn this_version_is_told_honestly() {
        use super::super::report::Level;
        let texts = |runtime, level| -> String {
            findings(runtime, Vec::new())
                .iter()
                .map(Finding::parts)
                .filter(|(found, _)| *found == level)
                .map(|(_, text)| format!("{text}\n"))
                .collect()
        };
        let go = texts(Runtime::Go, Level::Blocks);
        assert!(go.contains("nothing is seen"), "{go}");
        assert!(!texts(Runtime::Go, Level::Good).contains("HTTP"));
        for runtime in [Runtime::Python, Runtime::Node, Runtime::Native] {
            let good = texts(runtime, Level::Good);
            assert!(good.contains("plain HTTP/1.x"), "{good}");
            let not = texts(runtime, Level::Attention);
            assert!(not.contains("HTTP/2, gRPC and databases"), "{not}");
            assert_eq!(texts(runtime, Level::Blocks), "");
        }
        assert!(texts(Runtime::Node, Level::Attention).contains("an event loop"));
    }
}
