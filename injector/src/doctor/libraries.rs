//! The libraries that a program would start with, found as the dynamic linker finds them, roughly: its
//! cache is not read, which only makes libraries in unusual places unknown.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::target::elf::{self, ElfFacts};

/// Most libraries followed.
const MAX_LIBRARIES: usize = 256;
/// Searched last, after the directory of the C library (which is where a distribution keeps the others).
const SYSTEM: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// A library by name, and where it is if that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Library {
    /// As it is asked for.
    pub(crate) name: String,
    /// The file.
    pub(crate) path: Option<PathBuf>,
}

/// All libraries that `program` asks for, directly or through another.
pub(crate) fn all(program: &Path, facts: &ElfFacts, environment: &Environment) -> Vec<Library> {
    let mut found: Vec<Library> = Vec::new();
    let mut seen: HashSet<String> = HashSet::new();
    let mut waiting = vec![(program.to_path_buf(), facts.clone())];
    while let Some((origin, asking)) = waiting.pop() {
        let places = places(&origin, &asking, facts, environment);
        for name in &asking.needed {
            if found.len() >= MAX_LIBRARIES || !seen.insert(name.clone()) {
                continue;
            }
            let path = locate(name, &origin, &places, facts);
            if let Some((path, facts)) = &path {
                waiting.push((path.clone(), facts.clone()));
            }
            found.push(Library {
                name: name.clone(),
                path: path.map(|(path, _)| path),
            });
        }
    }
    found
}

/// The first file of that name for the same processor.
fn locate(
    name: &str,
    origin: &Path,
    places: &[PathBuf],
    program: &ElfFacts,
) -> Option<(PathBuf, ElfFacts)> {
    let candidates = if name.contains('/') {
        vec![expand(name, origin)]
    } else {
        places.iter().map(|place| place.join(name)).collect()
    };
    candidates.into_iter().find_map(|path| {
        let facts = elf::read(&path).ok()?;
        (facts.platform == program.platform).then_some((path, facts))
    })
}

/// A path, with `$ORIGIN` for the directory of the file that has it.
fn expand(path: &str, origin: &Path) -> PathBuf {
    let origin = origin
        .canonicalize()
        .unwrap_or_else(|_| origin.to_path_buf());
    let directory = origin.parent().unwrap_or(Path::new("/")).to_string_lossy();
    let path = path.replace("${ORIGIN}", &directory);
    PathBuf::from(path.replace("$ORIGIN", &directory))
}

fn places(
    origin: &Path,
    asking: &ElfFacts,
    program: &ElfFacts,
    environment: &Environment,
) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = asking
        .runpath
        .iter()
        .map(|place| expand(place, origin))
        .collect();
    let configured = environment.text("LD_LIBRARY_PATH").unwrap_or_default();
    places.extend(
        configured
            .split([':', ';'])
            .filter(|part| !part.is_empty())
            .map(PathBuf::from),
    );
    // The dynamic linker lies beside the C library.
    let linker = program
        .interpreter
        .as_ref()
        .and_then(|linker| linker.canonicalize().ok());
    places.extend(
        linker
            .as_deref()
            .and_then(Path::parent)
            .map(Path::to_path_buf),
    );
    places.extend(SYSTEM.map(PathBuf::from));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_this_test_are_found() {
        let own = std::env::current_exe().unwrap();
        let facts = elf::read(&own).unwrap();
        let libraries = all(&own, &facts, &Environment::inherited());
        let libc = libraries
            .iter()
            .find(|library| library.name == "libc.so.6")
            .unwrap();
        assert!(
            libc.path.as_ref().unwrap().ends_with("libc.so.6"),
            "{libc:?}"
        );
    }

    #[test]
    fn a_library_that_is_nowhere_is_named_all_the_same() {
        let own = std::env::current_exe().unwrap();
        let mut facts = elf::read(&own).unwrap();
        facts.needed = vec![
            "libnowhere.so.9".to_owned(),
            "/nonexistent/lib.so".to_owned(),
        ];
        let libraries = all(&own, &facts, &Environment::default());
        assert_eq!(libraries.len(), 2);
        assert!(libraries.iter().all(|library| library.path.is_none()));
    }

    #[test]
    fn a_library_beside_the_file_that_asks_for_it() {
        let own = std::env::current_exe().unwrap();
        let prefix = tempfile::tempdir().unwrap();
        let beside = prefix.path().canonicalize().unwrap().join("beside.so");
        std::fs::copy(&own, &beside).unwrap();
        std::fs::create_dir(prefix.path().join("bin")).unwrap();
        let mut facts = elf::read(&own).unwrap();
        for (program, needed) in [
            ("program", "$ORIGIN/beside.so"),
            ("bin/program", "${ORIGIN}/../beside.so"),
            ("program", "beside.so"),
        ] {
            let origin = prefix.path().join(program);
            std::fs::copy(&own, &origin).unwrap();
            facts.needed = vec![needed.to_owned()];
            facts.runpath = vec!["$ORIGIN".to_owned()];
            let libraries = all(&origin, &facts, &Environment::default());
            let found = libraries[0].path.as_ref().unwrap();
            assert_eq!(found.canonicalize().unwrap(), beside, "{needed}");
        }
    }
}
