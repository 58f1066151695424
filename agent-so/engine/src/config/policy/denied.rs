//! The built-in list of programs that are not traced. Data with the few rules that names follow.

/// Base names, sorted. Left out on purpose: names that are likely those of a user's own program (`test`, `server`,
/// `link`, `time`, `split`), everything that speaks HTTP for its user, and every interpreter.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "agetty", "anacron", "apk", "apt", "apt-cache", "apt-get", "apt-key", "ar", "as", "ash", "atd",
    "awk", "b2sum", "base32", "base64", "basename", "bash", "bazel", "bison", "bunzip2", "bzip2",
    "c++", "c89", "c99", "cargo", "cat", "catatonit", "cc", "cc1", "cc1obj", "cc1plus", "ccache",
    "chgrp", "chmod", "chown", "chroot", "cksum", "clang", "clang++", "clear", "clippy-driver",
    "cmake", "cmp", "collect2", "column", "comm", "cp", "cpack", "cpp", "cron", "crond", "crontab",
    "csc", "csh", "csplit", "ctest", "cut", "dash", "date", "dbus-daemon", "dbus-launch",
    "dbus-send", "dd", "df", "diff", "diff3", "dir", "dircolors", "dirname", "distcc", "dnf",
    "doas", "docker-init", "dpkg", "du", "dumb-init", "dwp", "echo", "ed", "egrep", "env",
    "expand", "expr", "f77", "f95", "factor", "false", "fgrep", "find", "fish", "flatpak", "flex",
    "flock", "fmt", "fold", "free", "g++", "gawk", "gcc", "gcc-ar", "gcc-nm", "gcc-ranlib", "gcov",
    "gdb", "gdbserver", "gem", "getconf", "getent", "getopt", "gfortran", "git", "gmake", "go",
    "gofmt", "gosu", "gpg", "gpg-agent", "gpgconf", "gpgv", "grep", "groups", "gunzip", "gzip",
    "head", "hexdump", "hostid", "hostname", "htop", "icecc", "id", "init", "install", "ionice",
    "jar", "javac", "javadoc", "jcmd", "jdeps", "jinfo", "jlink", "jmap", "journalctl", "jps",
    "jspawnhelper", "jstack", "jstat", "keytool", "kill", "killall", "ksh", "ld", "ld.bfd",
    "ld.gold", "ld.lld", "ldconfig", "ldd", "less", "lld", "lldb", "ln", "locale", "logger",
    "login", "loginctl", "logname", "ls", "lsblk", "lscpu", "lsof", "lto-dump", "lto-wrapper",
    "lto1", "ltrace", "lz4", "m4", "make", "mawk", "md5sum", "meson", "microdnf", "mkdir",
    "mkfifo", "mknod", "mksh", "mktemp", "mold", "more", "mount", "mv", "nano", "nasm", "nice",
    "ninja", "nl", "nm", "nohup", "nproc", "numfmt", "objcopy", "objdump", "od", "original-awk",
    "otel-run", "pacman", "passwd", "paste", "patch", "pathchk", "perf", "pgrep", "pidof", "pinky",
    "pip", "pip3", "pipx", "pkg-config", "pkgconf", "pkill", "pmap", "pr", "printenv", "printf",
    "protoc", "ps", "pstree", "ptx", "pwd", "ranlib", "rbash", "readelf", "readlink", "realpath",
    "renice", "reset", "rev", "rm", "rmdir", "rpm", "rr", "run-parts", "runsv", "runsvdir",
    "rustc", "rustdoc", "rustfmt", "rustup", "sccache", "scp", "screen", "sed", "seq", "setpriv",
    "setsid", "sftp", "sftp-server", "sh", "sha1sum", "sha224sum", "sha256sum", "sha384sum",
    "sha512sum", "shred", "shuf", "sleep", "snap", "sort", "ssh", "ssh-add", "ssh-agent",
    "ssh-keygen", "sshd", "stat", "stdbuf", "strace", "strings", "strip", "stty", "su", "su-exec",
    "sudo", "sum", "swiftc", "sync", "systemctl", "tac", "tail", "tar", "tcc", "tee", "timeout",
    "tini", "tmux", "top", "touch", "tput", "tr", "true", "truncate", "tset", "tsort", "tty",
    "udevadm", "umount", "uname", "unexpand", "uniq", "unlink", "unxz", "unzip",
    "update-alternatives", "uptime", "users", "uuidgen", "uv", "uvx", "valgrind", "vdir", "vi",
    "vim", "vmstat", "wc", "whatis", "which", "who", "whoami", "xargs", "xxd", "xz", "yacc",
    "yasm", "yes", "yum", "zcat", "zip", "zsh", "zstd", "zypper",
];

/// Beginnings of families of programs.
const PREFIXES: [&str; 8] = [
    "apt-", "cargo-", "dpkg-", "llvm-", "otelcol", "rustup-", "s6-", "systemd",
];

/// Scripts and modules that an interpreter runs: package managers and build servers, sorted.
#[rustfmt::skip]
const SCRIPTS: &[&str] = &[
    "MSBuild.dll", "VBCSCompiler.dll", "bundle", "composer", "composer.phar", "conda", "corepack", "corepack.js", "csc.dll",
    "ensurepip", "gem", "meson", "node-gyp", "node-gyp.js", "npm", "npm-cli.js", "npx", "npx-cli.js", "pip", "pipenv",
    "pipx", "pnpm", "pnpm.cjs", "poetry", "tsc", "venv", "virtualenv", "yarn", "yarn.js",
];

/// Whether a program of this base name is on the list.
pub(super) fn is_denied(name: &[u8]) -> bool {
    if listed(NAMES, name) || family(name) {
        return true;
    }
    // `gcc-12`, `clang++-15`, `ld.lld-15`
    let plain = without_version(name);
    // `x86_64-linux-gnu-gcc`: the tool stands after the target triple
    let tool = match memchr::memmem::find(plain, b"-linux-") {
        Some(_) => plain.rsplit(|b| *b == b'-').next().unwrap_or(plain),
        None => plain,
    };
    // `sshd: user [priv]` is a process title
    let title = name.split(|b| *b == b':').next().unwrap_or(name);
    listed(NAMES, tool) || (title.len() < name.len() && listed(NAMES, title))
}

/// Whether an interpreter that runs this script or module is left alone.
pub(super) fn is_denied_script(name: &[u8]) -> bool {
    if family(name) {
        return true;
    }
    // `pip3.11`
    let end = name
        .iter()
        .rposition(|b| !b.is_ascii_digit() && *b != b'.')
        .map_or(0, |at| at + 1);
    listed(SCRIPTS, name) || listed(SCRIPTS, &name[..end])
}

fn listed(list: &[&str], name: &[u8]) -> bool {
    list.binary_search_by(|item| item.as_bytes().cmp(name))
        .is_ok()
}

fn family(name: &[u8]) -> bool {
    PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix.as_bytes()))
}

/// The name without a version after its last dash.
fn without_version(name: &[u8]) -> &[u8] {
    match name.iter().rposition(|b| *b == b'-') {
        Some(at) if at + 1 < name.len() => {
            let version = &name[at + 1..];
            let numeric = version.iter().all(|b| b.is_ascii_digit() || *b == b'.');
            if numeric { &name[..at] } else { name }
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_for_binary_search() {
        assert!(NAMES.is_sorted_by(|a, b| a < b));
        assert!(SCRIPTS.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn interpreters_servers_and_http_tools_are_never_on_it() {
        for name in [
            "python3.11",
            "python",
            "node",
            "java",
            "ruby",
            "php",
            "php-fpm8.2",
            "perl",
            "bun",
            "deno",
            "dotnet",
            "curl",
            "wget",
            "nginx",
            "apache2",
            "httpd",
            "gunicorn",
            "uwsgi",
            "redis-server",
            "postgres",
            "mysqld",
            "busybox",
            "aws",
            "git-remote-https",
            "supervisord",
            "haproxy",
            "varnishd",
            "envoy",
            "test",
            "app",
        ] {
            assert!(!is_denied(name.as_bytes()), "{name}");
            assert!(!is_denied_script(name.as_bytes()), "{name}");
        }
    }
}
