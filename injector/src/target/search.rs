//! Finding the file that `execvp` would run.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the C library searches when `PATH` is not set at all.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// What a search ended with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// This file can be executed.
    File(PathBuf),
    /// No such file anywhere.
    Missing,
    /// A directory has that name, and no other candidate could be executed.
    Directory(PathBuf),
    /// A file has that name, but this user may not execute it.
    Denied(PathBuf),
}

/// Looks `command` up the way `execvp` does: a name with a slash is a path, any other is searched in
/// `path` (the value of `PATH`), where a file that may not be executed does not end the search.
pub(crate) fn find(command: &OsStr, path: Option<&OsStr>) -> Found {
    if command.is_empty() {
        return Found::Missing;
    }
    if command.as_bytes().contains(&b'/') {
        return examine(PathBuf::from(command));
    }
    let default = OsString::from(DEFAULT_PATH);
    let path = path.unwrap_or(&default);
    let mut obstacle = Found::Missing;
    for directory in path.as_bytes().split(|&byte| byte == b':') {
        // An empty element is the current directory (POSIX; a leading or trailing colon is one too).
        let directory = if directory.is_empty() {
            b".".as_slice()
        } else {
            directory
        };
        match examine(Path::new(OsStr::from_bytes(directory)).join(command)) {
            Found::File(file) => return Found::File(file),
            Found::Missing => {}
            denied => {
                if obstacle == Found::Missing {
                    obstacle = denied;
                }
            }
        }
    }
    obstacle
}

fn examine(candidate: PathBuf) -> Found {
    match std::fs::metadata(&candidate) {
        // A directory on the way that may not be entered hides the file: execve says EACCES, not ENOENT.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Found::Denied(candidate)
        }
        Err(_) => Found::Missing,
        Ok(metadata) if metadata.is_dir() => Found::Directory(candidate),
        Ok(metadata) if metadata.is_file() && executable(&candidate) => Found::File(candidate),
        Ok(_) => Found::Denied(candidate),
    }
}

/// Whether the effective user may execute the file.
fn executable(file: &Path) -> bool {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    match accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS) {
        // Kernels and sandboxes without faccessat2 can only be asked about the real user.
        Err(rustix::io::Errno::NOSYS) => {
            accessat(CWD, file, Access::EXEC_OK, AtFlags::empty()).is_ok()
        }
        answer => answer.is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn make(directory: &Path, name: &str, mode: u32) -> PathBuf {
        let file = directory.join(name);
        std::fs::write(&file, "x").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn path_is_searched_in_order_and_past_files_that_cannot_run() {
        let one = tempfile::tempdir().unwrap();
        let two = tempfile::tempdir().unwrap();
        make(one.path(), "plain", 0o644);
        let runnable = make(two.path(), "plain", 0o755);
        std::fs::create_dir(one.path().join("folder")).unwrap();
        let only_denied = make(one.path(), "denied", 0o644);
        let first = make(one.path(), "both", 0o755);
        make(two.path(), "both", 0o755);
        let mut path = OsString::from(one.path());
        path.push(":");
        path.push(two.path());
        let search = |name: &str| find(OsStr::new(name), Some(&path));
        assert_eq!(search("plain"), Found::File(runnable));
        assert_eq!(search("both"), Found::File(first));
        assert_eq!(search("denied"), Found::Denied(only_denied));
        assert_eq!(
            search("folder"),
            Found::Directory(one.path().join("folder"))
        );
        assert_eq!(search("absent"), Found::Missing);
        assert_eq!(search(""), Found::Missing);
    }

    #[test]
    fn a_slash_means_no_search() {
        let one = tempfile::tempdir().unwrap();
        let file = make(one.path(), "tool", 0o755);
        assert_eq!(find(file.as_os_str(), None), Found::File(file.clone()));
        let below = file.join("deeper");
        assert_eq!(find(below.as_os_str(), None), Found::Missing);
        let directory = one.path().join(".");
        assert_eq!(
            find(directory.as_os_str(), None),
            Found::Directory(directory)
        );
    }

    #[test]
    fn without_a_path_variable_the_system_directories_are_searched() {
        assert!(matches!(find(OsStr::new("sh"), None), Found::File(_)));
        assert_eq!(
            find(OsStr::new("sh"), Some(OsStr::new("/nonexistent"))),
            Found::Missing
        );
    }
}
