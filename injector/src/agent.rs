//! Finding `libagent.so`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::environment::preload_obstacle;
use crate::target::elf::{self, Platform};
use crate::target::refusal::Message;

/// The agent's file name.
const FILE: &str = "libagent.so";
/// Where it is, seen from the directory of the executable: a build tree, and two layouts of an
/// installed prefix.
const PLACES: [&str; 3] = ["", "../lib/otel-run", "../lib"];
/// Names another agent.
pub(crate) const VARIABLE: &str = "OTEL_RUN_AGENT";

/// The agent that will be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    /// Absolute, without links.
    pub(crate) path: PathBuf,
    /// What it was built for.
    pub(crate) platform: Platform,
}

/// Finds the agent: where `OTEL_RUN_AGENT` (its value is `named`) says, else around this executable.
pub(crate) fn find(named: Option<&OsStr>) -> Result<Agent, Message> {
    match named.filter(|name| !name.is_empty()) {
        Some(name) => {
            let path = PathBuf::from(name);
            let missing = || Message {
                what: format!("{VARIABLE} names {}, which does not exist", path.display()),
                why: None,
                hint: format!("correct it, or unset it to use the installed {FILE}"),
            };
            check(path.canonicalize().map_err(|_| missing())?)
        }
        None => match std::env::current_exe().and_then(|own| own.canonicalize()) {
            Ok(own) => find_around(own.parent().unwrap_or(Path::new("/"))),
            Err(error) => Err(Message {
                what: format!("the directory of otel-run is unknown: {error}"),
                why: Some(format!("{FILE} is searched around it")),
                hint: format!("set {VARIABLE} to the path of {FILE}"),
            }),
        },
    }
}

fn find_around(directory: &Path) -> Result<Agent, Message> {
    let candidates: Vec<PathBuf> = PLACES
        .iter()
        .map(|place| directory.join(place).join(FILE))
        .collect();
    match candidates
        .iter()
        .find_map(|candidate| candidate.canonicalize().ok())
    {
        Some(path) => check(path),
        None => Err(Message {
            what: format!("{FILE} is not found"),
            why: Some(format!(
                "looked for {}",
                candidates
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
            hint: format!("install it there, or set {VARIABLE} to its path"),
        }),
    }
}

/// The dynamic linker only prints a line and goes on without a library that it cannot load; the user
/// should hear it from us, before the program runs.
fn check(path: PathBuf) -> Result<Agent, Message> {
    if let Some(obstacle) = preload_obstacle(&path) {
        return Err(Message {
            what: format!("the agent's path {} has {obstacle} in it", path.display()),
            why: Some("LD_PRELOAD cannot carry such a path".to_owned()),
            hint: format!("copy {FILE} elsewhere and set {VARIABLE} to the copy"),
        });
    }
    match elf::read(&path) {
        Ok(facts) => Ok(Agent {
            platform: facts.platform,
            path,
        }),
        Err(error) => Err(Message {
            what: format!("{} is not a usable agent: {error}", path.display()),
            why: None,
            hint: format!("build or install it again, or set {VARIABLE} to another"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any ELF file will do.
    fn install(directory: &Path) -> PathBuf {
        std::fs::create_dir_all(directory).unwrap();
        let path = directory.join(FILE);
        std::fs::copy("/proc/self/exe", &path).unwrap();
        path.canonicalize().unwrap()
    }

    #[test]
    fn beside_the_executable_first_then_the_prefix() {
        let prefix = tempfile::tempdir().unwrap();
        let bin = prefix.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let message = find_around(&bin).unwrap_err();
        assert_eq!(message.what, "libagent.so is not found");
        let why = message.why.unwrap();
        assert!(
            PLACES
                .iter()
                .all(|place| why.contains(&*bin.join(place).to_string_lossy())),
            "{why}"
        );

        let plain = install(&prefix.path().join("lib"));
        assert_eq!(find_around(&bin).unwrap().path, plain);
        let own = install(&prefix.path().join("lib/otel-run"));
        assert_eq!(find_around(&bin).unwrap().path, own);
        let beside = install(&bin);
        assert_eq!(find_around(&bin).unwrap().path, beside);
    }

    #[test]
    fn the_variable_decides_alone() {
        let directory = tempfile::tempdir().unwrap();
        let agent = install(directory.path());
        assert_eq!(find(Some(agent.as_os_str())).unwrap().path, agent);
        let absent = directory.path().join("absent.so");
        assert!(
            find(Some(absent.as_os_str()))
                .unwrap_err()
                .what
                .contains(VARIABLE)
        );
        let text = directory.path().join("text.so");
        std::fs::write(&text, "not a library").unwrap();
        assert!(
            find(Some(text.as_os_str()))
                .unwrap_err()
                .what
                .contains("not a usable agent")
        );
        let spaced = install(&directory.path().join("with space"));
        assert!(
            find(Some(spaced.as_os_str()))
                .unwrap_err()
                .what
                .contains("a space")
        );
    }
}
