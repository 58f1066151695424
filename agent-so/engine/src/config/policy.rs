//! Whether this process is traced at all: the first question asked in every process that inherits the agent.

use super::{Config, glob};
use crate::resource::program::{Interpreter, base_name, program, strip_deleted};

mod denied;

/// `OTEL_RUN_INCLUDE` and `OTEL_RUN_EXCLUDE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFilter {
    /// When not empty, only programs that match one of these are traced, and those even if the built-in list has them.
    pub include: Vec<String>,
    /// Programs that match one of these are not traced.
    pub exclude: Vec<String>,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Trace it.
    Yes,
    /// Leave it alone; why, for the debug log.
    No(&'static str),
}

/// Decides by the path of the executable and the command line (`argv[0]` included), unless there is nothing to do in any
/// process. Exclude beats include, include beats
/// the built-in list. Allocates nothing.
///
/// The built-in list has programs that are started often and never serve or call anything a trace is about (compilers, linkers,
/// build drivers, package tools, the small tools of shell scripts), programs that only start others (shells, init
/// systems, multiplexers: their children decide anew), and telemetry's own. It never has interpreters, servers, `curl` or `wget`.
pub fn should_instrument<'a>(
    exe: &'a [u8],
    argv: impl Iterator<Item = &'a [u8]>,
    config: &Config,
) -> Decision {
    if config.disabled {
        return Decision::No("OTEL_SDK_DISABLED is true");
    }
    if config.instrumentations.none_enabled() {
        return Decision::No("every instrumentation is off");
    }
    let filter = &config.processes;
    let mut argv = argv.peekable();
    let exe = strip_deleted(exe);
    let called = called(argv.peek().copied().unwrap_or_default());
    let listed = |patterns: &[String]| {
        let names = [exe, base_name(exe), called];
        patterns.iter().any(|pattern| {
            names
                .iter()
                .any(|n| !n.is_empty() && glob::matches(pattern.as_bytes(), n))
        })
    };
    if listed(&filter.exclude) {
        return Decision::No("OTEL_RUN_EXCLUDE matches");
    }
    if listed(&filter.include) {
        return Decision::Yes;
    }
    if !filter.include.is_empty() {
        return Decision::No("OTEL_RUN_INCLUDE is set and does not match");
    }
    if denied::is_denied(base_name(exe)) || denied::is_denied(called) {
        return Decision::No("the program is on the built-in list");
    }
    if Interpreter::of(exe).is_some() && denied::is_denied_script(program(exe, argv).name) {
        return Decision::No("the script is on the built-in list");
    }
    Decision::Yes
}

/// Base name of `argv[0]`, without the dash that marks a login shell.
fn called(argv0: &[u8]) -> &[u8] {
    base_name(argv0.strip_prefix(b"-").unwrap_or(argv0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn config(vars: &[(&str, &str)]) -> Config {
        Config::from_env(vars.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()))).0
    }

    fn ask(exe: &str, line: &str, include: &str, exclude: &str) -> bool {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let mut config = config(&[]);
        config.processes = ProcessFilter {
            include: list(include),
            exclude: list(exclude),
        };
        let argv: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        should_instrument(exe.as_bytes(), argv.into_iter(), &config) == Decision::Yes
    }

    #[test]
    fn the_built_in_list() {
        let denied = [
            ("/usr/bin/x86_64-linux-gnu-gcc-12", "cc a.c"),
            ("/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus", "cc1plus"),
            ("/usr/lib/llvm-15/bin/clang", "clang-15 a.c"),
            ("/usr/bin/ld.lld-15", "ld"),
            ("/usr/bin/aarch64-linux-gnu-as", "as"),
            ("/home/u/.cargo/bin/rustc", "rustc"),
            ("/usr/bin/make", "make -j"),
            ("/usr/bin/dash", "sh -c x"),
            ("/usr/bin/bash", "-bash"),
            ("/usr/bin/bash (deleted)", "bash"),
            ("/usr/bin/sed", "sed"),
            ("/bin/busybox", "sh"),
            ("/bin/busybox", "/bin/grep x"),
            ("/usr/bin/sudo", "sudo"),
            ("/usr/sbin/sshd", "sshd: user"),
            ("/jvm/lib/jspawnhelper", "jspawnhelper"),
            ("/jvm/bin/javac", "javac"),
            ("/opt/otelcol-contrib", "otelcol-contrib"),
            ("/opt/otel-run", "otel-run"),
            ("/usr/lib/systemd/systemd-journald", "x"),
            ("/usr/bin/dpkg-query", "dpkg-query"),
            ("/usr/bin/git", "git fetch"),
            (
                "/usr/bin/node",
                "node /usr/lib/node_modules/npm/bin/npm-cli.js ci",
            ),
            ("/usr/bin/node", "node /usr/bin/npm ci"),
            ("/usr/bin/node", "node --no-warnings /x/yarn.js"),
            ("/usr/bin/python3.11", "python -m pip install x"),
            ("/usr/bin/python3.11", "python /v/bin/pip3.11 install x"),
            ("/usr/bin/php", "php /usr/bin/composer install"),
            ("/usr/bin/true", "true"),
        ];
        for (exe, line) in denied {
            assert!(!ask(exe, line, "", ""), "{exe} {line}");
            assert!(ask(exe, line, "*", ""), "include beats the list: {exe}");
        }
        let traced = [
            ("/usr/bin/python3.11", "python app.py"),
            ("/usr/bin/node", "node server.js"),
            ("/jvm/bin/java", "java -jar x.jar"),
            ("/usr/sbin/nginx", "nginx"),
            ("/usr/sbin/apache2", "apache2"),
            ("/usr/bin/curl", "curl"),
            ("/usr/bin/wget", "wget"),
            ("/bin/busybox", "wget"),
            ("/bin/busybox", "httpd"),
            ("/usr/lib/git-core/git-remote-https", "git-remote-https"),
            ("/usr/bin/ruby", "ruby bundle exec puma"),
            ("/usr/bin/perl", "perl x.pl"),
            ("/usr/bin/php", "php -S a"),
            ("/srv/my-gcc-service", "x"),
            ("/srv/clangd-2", "x"),
            ("/srv/ldap", "ldap"),
            ("/srv/server", "server"),
            ("/srv/test", "test"),
            ("/usr/sbin/redis-server", "redis-server"),
            ("", ""),
        ];
        for (exe, line) in traced {
            assert!(ask(exe, line, "", ""), "{exe} {line}");
        }
    }

    #[test]
    fn include_and_exclude() {
        // executable, command line, include, exclude, traced
        let rows = [
            ("/usr/bin/curl", "curl", "", "curl", false),
            ("/usr/bin/curl", "curl", "", "/usr/*", false),
            ("/usr/bin/curl", "curl", "", "cur?", false),
            ("/usr/bin/python3", "worker", "", "worker", false),
            ("/usr/bin/curl", "curl", "", "wget", true),
            ("/usr/bin/curl", "curl", "nginx", "", false),
            ("/usr/sbin/nginx", "nginx", "nginx", "", true),
            ("/usr/bin/make", "make", "make", "", true),
            ("/usr/bin/make", "make", "make", "make", false),
            (
                "/usr/bin/python3",
                "/v/bin/python",
                "/v/bin/python",
                "",
                false,
            ),
            ("/usr/bin/python3", "/v/bin/python", "python", "", true),
        ];
        for (exe, line, include, exclude, traced) in rows {
            assert_eq!(
                ask(exe, line, include, exclude),
                traced,
                "{exe} +{include} -{exclude}"
            );
        }
    }

    #[test]
    fn nothing_to_do_is_a_no() {
        for (name, value, traced) in [
            ("OTEL_SDK_DISABLED", "true", false),
            ("OTEL_SDK_DISABLED", "false", true),
            (
                "OTEL_INSTRUMENTATION_COMMON_DEFAULT_ENABLED",
                "false",
                false,
            ),
            ("OTEL_INSTRUMENTATION_HTTP_CLIENT_ENABLED", "false", true),
        ] {
            let config = config(&[(name, value), ("OTEL_RUN_INCLUDE", "*")]);
            let decision = should_instrument(b"/app", [&b"app"[..]].into_iter(), &config);
            assert_eq!(decision == Decision::Yes, traced, "{name}={value}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_decision(
            exe in prop::collection::vec(any::<u8>(), 0..40),
            argv in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..4),
        ) {
            should_instrument(&exe, argv.iter().map(Vec::as_slice), &config(&[]));
        }
    }
}
