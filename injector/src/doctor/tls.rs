//! What encrypts a program's HTTPS, and whether the agent sees through it.

mod implementation;
mod scan;

use std::path::Path;

use super::libraries::Library;
use super::memory::Policy;
use super::report::Finding;
use super::runtime::Runtime;
use implementation::{ALL, Implementation, OPENSSL, Reach};
use scan::{Inside, Names};

/// An implementation of TLS that a program starts with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    inside: Inside,
    /// The library's file name; `None`: the executable.
    library: Option<String>,
}

/// Looks into the program and all libraries that it starts with.
pub(crate) fn find(program: &Path, libraries: &[Library]) -> Vec<Found> {
    let own = scan::scan(program).into_iter().map(|inside| Found {
        inside,
        library: None,
    });
    let linked = libraries.iter().flat_map(|library| {
        let name = library.name.rsplit('/').next().unwrap_or_default();
        let inside = match &library.path {
            Some(path) => scan::scan(path),
            // Where it is not found by us, the dynamic linker may still find it.
            None => by_name(name).into_iter().collect(),
        };
        inside.into_iter().map(|inside| Found {
            inside,
            library: Some(name.to_owned()),
        })
    });
    own.chain(linked).collect()
}

fn by_name(library: &str) -> Option<Inside> {
    let implementation = ALL.iter().find(|known| is_file_of(library, known))?;
    Some(Inside {
        implementation,
        called: implementation.name,
        names: Names::Exported,
    })
}

fn is_file_of(library: &str, implementation: &Implementation) -> bool {
    let mut files = implementation.files.iter();
    files.any(|start| library.starts_with(start))
}

/// What is said of it.
pub(crate) fn findings(runtime: Runtime, found: &[Found], policy: Policy) -> Vec<Finding> {
    let mut seen: Vec<String> = linked(found).into_iter().collect();
    let mut not_seen = Vec::new();
    for found in found {
        let what = found.what();
        match (&found.inside.implementation.reach, found.inside.names) {
            (Reach::No { why, hint }, _) => {
                not_seen.push(Finding::attention(
                    format!("HTTPS not seen: {what}: {why}"),
                    *hint,
                ));
            }
            (Reach::Patched, _) if found.is_patched_library() => {}
            (Reach::Patched, Names::Exported) => {
                seen.push(format!("{what} (its functions are exported)"));
            }
            (Reach::Patched, Names::Symbols) if found.library.is_none() => {
                seen.push(format!(
                    "{what} (found by its symbol table: keep it, do not strip)"
                ));
            }
            (Reach::Patched, _) => not_seen.push(found.hidden()),
        }
    }
    // Where OpenSSL is built in or linked already, this module uses that.
    let mut known = found.iter().map(|found| found.inside.implementation);
    if let Some(module) = module(runtime).filter(|_| !known.any(|known| *known == OPENSSL)) {
        seen.push(format!("libssl, when {module} (patched when it loads)"));
    }
    if runtime == Runtime::Java {
        not_seen.push(Finding::attention(
            "HTTPS not seen: TLS of Java (JSSE) is inside the JVM and not seen yet; plain HTTP is",
            "plain HTTP behind a proxy that ends TLS, or OpenTelemetry's Java agent",
        ));
    }
    if seen.is_empty() && not_seen.is_empty() {
        return vec![if policy.refused {
            policy.seen("libraries that are loaded later")
        } else {
            Finding::good(
                "no TLS library is linked; a libssl or libgnutls is patched when it loads",
            )
        }];
    }
    let doubt = policy.doubt().filter(|_| !seen.is_empty());
    let seen = seen.iter().map(|what| policy.seen(what));
    seen.chain(not_seen).chain(doubt).collect()
}

/// The shared libraries that are patched, on one line.
fn linked(found: &[Found]) -> Option<String> {
    let patched = found.iter().filter(|found| found.is_patched_library());
    let names: Vec<&str> = patched
        .filter_map(|found| found.library.as_deref())
        .collect();
    match names.as_slice() {
        [] => None,
        [name] => Some(format!("{name} (patched when it loads)")),
        names => Some(format!("{} (patched when they load)", names.join(", "))),
    }
}

/// When the runtime loads a libssl of which its executable says nothing.
fn module(runtime: Runtime) -> Option<&'static str> {
    match runtime {
        Runtime::Python => Some("ssl is imported"),
        Runtime::Ruby => Some("openssl is required"),
        Runtime::Perl => Some("Net::SSLeay is used"),
        _ => None,
    }
}

impl Found {
    fn is_patched_library(&self) -> bool {
        self.inside.implementation.reach == Reach::Patched
            && self.inside.names == Names::Exported
            && self.library.is_some()
    }

    fn what(&self) -> String {
        let called = self.inside.called;
        match &self.library {
            None => format!("{called} inside the executable"),
            Some(library) if is_file_of(library, self.inside.implementation) => {
                format!("{library} ({called})")
            }
            Some(library) => format!("{called} inside {library}"),
        }
    }

    /// It could be patched, were its functions to be found.
    fn hidden(&self) -> Finding {
        let (what, called) = (self.what(), self.inside.called);
        let (why, hint) = match self.library {
            None => (
                "the names of its functions are stripped",
                "do not strip the executable, or link a shared",
            ),
            Some(_) => (
                "it does not export its functions",
                "use a build with a shared",
            ),
        };
        Finding::attention(
            format!("HTTPS not seen: {what}: {why}"),
            format!("{hint} {called}; plain HTTP behind a proxy that ends TLS is seen"),
        )
    }
}

#[cfg(test)]
mod tests;
