//! What a process runs: the script, module, class or archive rather than its interpreter.
//!
//! Works on slices of the command line, allocates nothing, and follows each interpreter's own rules for options
//! as far as needed to tell an option's value from the program.

mod syntax;

use syntax::syntax;

/// An interpreter or virtual machine whose command line names the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Interpreter {
    Python,
    PyPy,
    Node,
    Java,
    Ruby,
    Php,
    Perl,
    Bun,
    Deno,
    Dotnet,
}

/// What a command line runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program<'a> {
    /// Name of the program: a base name, a Python module or a Java class. Empty when nothing is known.
    pub name: &'a [u8],
    /// The interpreter, if the executable is one.
    pub interpreter: Option<Interpreter>,
}

impl Interpreter {
    /// The interpreter with this executable: `python3.11` and `php8.2` as well as `python` and `php`.
    pub fn of(exe: &[u8]) -> Option<Self> {
        let name = base_name(strip_deleted(exe));
        let versioned = |b: &u8| b.is_ascii_digit() || *b == b'.' || *b == b'-';
        let end = name
            .iter()
            .rposition(|b| !versioned(b))
            .map_or(0, |at| at + 1);
        Some(match &name[..end] {
            b"python" => Self::Python,
            b"pypy" => Self::PyPy,
            b"node" | b"nodejs" => Self::Node,
            b"java" => Self::Java,
            b"ruby" => Self::Ruby,
            b"php" => Self::Php,
            b"perl" => Self::Perl,
            b"bun" => Self::Bun,
            b"deno" => Self::Deno,
            b"dotnet" => Self::Dotnet,
            _ => return None,
        })
    }

    /// Value of `process.runtime.name`.
    pub fn runtime_name(self) -> &'static str {
        match self {
            Self::Python => "CPython",
            Self::PyPy => "PyPy",
            Self::Node => "nodejs",
            Self::Java => "java",
            Self::Ruby => "ruby",
            Self::Php => "php",
            Self::Perl => "perl",
            Self::Bun => "bun",
            Self::Deno => "deno",
            Self::Dotnet => ".NET",
        }
    }
}

/// The program behind executable and command line (`argv[0]` included, as it was at start: later it may be a process
/// title). Programs that are no interpreters are named by their executable, never by `argv[0]`, which is free text;
/// except busybox, which is whatever it is called, and when the executable is unknown.
pub fn program<'a>(exe: &'a [u8], mut argv: impl Iterator<Item = &'a [u8]>) -> Program<'a> {
    let exe = base_name(strip_deleted(exe));
    let called = base_name(argv.next().unwrap_or_default());
    let Some(interpreter) = Interpreter::of(exe) else {
        let name = if exe.is_empty() || exe == b"busybox" {
            called
        } else {
            exe
        };
        return Program {
            name: if name.is_empty() { exe } else { name },
            interpreter: None,
        };
    };
    let name = target(interpreter, argv)
        .filter(|name| !name.is_empty())
        .unwrap_or(exe);
    Program {
        name,
        interpreter: Some(interpreter),
    }
}

/// What the words after `argv[0]` make the interpreter run; `None` for program text, standard input, or nothing.
fn target<'a>(
    interpreter: Interpreter,
    mut words: impl Iterator<Item = &'a [u8]>,
) -> Option<&'a [u8]> {
    let syntax = syntax(interpreter);
    let has = |list: &[&str], word: &[u8]| list.iter().any(|item| item.as_bytes() == word);
    let mut command_allowed = true;
    loop {
        let word = words.next()?;
        if word == b"-" {
            return None;
        }
        if word == b"--" {
            return script(interpreter, words.next()?, words);
        }
        if !word.starts_with(b"-") {
            if command_allowed && has(syntax.commands, word) {
                command_allowed = false;
                continue;
            }
            // `java @file`: the options are in the file
            if interpreter == Interpreter::Java && word.starts_with(b"@") {
                continue;
            }
            return script(interpreter, word, words);
        }
        if has(syntax.word_code, word) {
            return None;
        } else if has(syntax.word_module, word) {
            // `java -m module/class`
            let module = words.next()?;
            return module.rsplit(|b| *b == b'/').next();
        } else if has(syntax.word_script, word) {
            return script(interpreter, words.next()?, words);
        } else if has(syntax.word_value, word) {
            words.next()?;
        } else if syntax.letters && !word.starts_with(b"--") {
            for (at, letter) in word.iter().enumerate().skip(1) {
                let rest = &word[at + 1..];
                if syntax.code.contains(letter) {
                    return None;
                } else if syntax.module.contains(letter) {
                    return if rest.is_empty() {
                        words.next()
                    } else {
                        Some(rest)
                    };
                } else if syntax.script.contains(letter) {
                    let path = if rest.is_empty() { words.next()? } else { rest };
                    return script(interpreter, path, words);
                } else if syntax.value.contains(letter) {
                    if rest.is_empty() {
                        words.next()?;
                    }
                    break;
                } else if syntax.rest.contains(letter) {
                    break;
                }
            }
        }
    }
}

/// The name for the script `path`, with the words that follow it.
fn script<'a>(
    interpreter: Interpreter,
    path: &'a [u8],
    mut words: impl Iterator<Item = &'a [u8]>,
) -> Option<&'a [u8]> {
    let name = base_name(path);
    match (interpreter, name) {
        (_, b"" | b"." | b"..") => None,
        // A class name, except for a source file or an archive.
        (Interpreter::Java, _) if !name.ends_with(b".java") && !name.ends_with(b".jar") => {
            Some(path)
        }
        // `dotnet build` is the tool, `dotnet app.dll` the program
        (Interpreter::Dotnet, _) if !name.ends_with(b".dll") && !name.ends_with(b".exe") => None,
        // `python some/package/__main__.py` is what `python some/package` runs
        (Interpreter::Python | Interpreter::PyPy, b"__main__.py") => {
            let package = base_name(&path[..path.len() - name.len()]);
            Some(if matches!(package, b"" | b"." | b"..") {
                name
            } else {
                package
            })
        }
        // Bundler loads the named program into its own process.
        (Interpreter::Ruby, b"bundle" | b"bundler") => {
            if words.next() != Some(b"exec") {
                return Some(name);
            }
            words
                .find(|word| !word.starts_with(b"-"))
                .map(base_name)
                .or(Some(name))
        }
        _ => Some(name),
    }
}

/// The part after the last slash, slashes at the end aside.
pub fn base_name(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    path[..end]
        .rsplit(|b| *b == b'/')
        .next()
        .unwrap_or_default()
}

/// The kernel marks the link of an executable whose file was replaced or removed.
pub fn strip_deleted(exe: &[u8]) -> &[u8] {
    exe.strip_suffix(b" (deleted)").unwrap_or(exe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(exe: &str, line: &str) -> String {
        let argv: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        String::from_utf8(program(exe.as_bytes(), argv.into_iter()).name.to_vec()).unwrap()
    }

    #[test]
    fn programs() {
        let rows = [
            ("/usr/bin/python3.11", "python app.py", "app.py"),
            (
                "/usr/bin/python3.11",
                "python3 -u -X dev -W ignore ./src/app.py --x",
                "app.py",
            ),
            (
                "/usr/bin/python3.11",
                "python -Xdev -Wignore app.py",
                "app.py",
            ),
            ("/usr/bin/python3", "python -m flask run", "flask"),
            (
                "/usr/bin/python3",
                "python -m http.server 80",
                "http.server",
            ),
            ("/usr/bin/python3", "python -Im flask run", "flask"),
            ("/usr/bin/python3", "python -mflask run", "flask"),
            ("/usr/bin/python3", "python -c pass", "python3"),
            ("/usr/bin/python3", "python -uc pass x.py", "python3"),
            ("/usr/bin/python3", "python", "python3"),
            ("/usr/bin/python3", "python - x", "python3"),
            ("/usr/bin/python3.11 (deleted)", "python", "python3.11"),
            (
                "/usr/bin/python3",
                "/v/bin/python /v/bin/gunicorn app:app",
                "gunicorn",
            ),
            (
                "/usr/bin/python3",
                "python /v/bin/uvicorn app:app",
                "uvicorn",
            ),
            ("/usr/bin/python3", "python -- -odd.py", "-odd.py"),
            ("/usr/bin/python3", "python .", "python3"),
            ("/usr/bin/python3", "python pkg/", "pkg"),
            ("/usr/bin/python3", "python /srv/shop/__main__.py", "shop"),
            ("/usr/bin/python3", "python __main__.py", "__main__.py"),
            ("/usr/bin/pypy3", "pypy3 a.py", "a.py"),
            ("/usr/bin/node", "node server.js", "server.js"),
            (
                "/usr/bin/node",
                "node --require ./t.js -r ./u.js --inspect --import=x dist/server.js",
                "server.js",
            ),
            ("/usr/bin/node", "node inspect a.js", "a.js"),
            ("/usr/bin/node", "node -e 1", "node"),
            ("/usr/bin/node", "node -p 1", "node"),
            (
                "/usr/bin/nodejs",
                "nodejs --max-old-space-size=9 a.mjs",
                "a.mjs",
            ),
            ("/usr/bin/node", "node .", "node"),
            ("/jvm/bin/java", "java -jar /opt/x.jar --port 1", "x.jar"),
            (
                "/jvm/bin/java",
                "java -Xmx1g -Dk=v -javaagent:a.jar -jar x.jar",
                "x.jar",
            ),
            (
                "/jvm/bin/java",
                "java -cp a.jar:b.jar com.acme.Main arg",
                "com.acme.Main",
            ),
            (
                "/jvm/bin/java",
                "java --add-opens java.base/x=ALL -classpath . Main",
                "Main",
            ),
            (
                "/jvm/bin/java",
                "java --add-opens=java.base/x=ALL src/Foo.java",
                "Foo.java",
            ),
            (
                "/jvm/bin/java",
                "java -p mods -m acme.app/com.acme.Main",
                "com.acme.Main",
            ),
            ("/jvm/bin/java", "java @opts Main", "Main"),
            ("/jvm/bin/java", "java -version", "java"),
            ("/usr/bin/ruby3.1", "ruby -Ilib -r json app.rb", "app.rb"),
            ("/usr/bin/ruby", "ruby -W0 -w /usr/bin/rackup", "rackup"),
            ("/usr/bin/ruby", "ruby -run -e httpd . -p 80", "ruby"),
            (
                "/usr/bin/ruby",
                "ruby /usr/bin/bundle exec --keep puma -p 1",
                "puma",
            ),
            ("/usr/bin/ruby", "ruby /usr/bin/bundle install", "bundle"),
            ("/usr/bin/ruby", "ruby bin/rails server", "rails"),
            (
                "/usr/bin/php8.2",
                "php -S 0.0.0.0:80 -t public router.php",
                "router.php",
            ),
            ("/usr/bin/php", "php -S 0.0.0.0:80", "php"),
            ("/usr/bin/php", "php -d a=b -n artisan serve", "artisan"),
            ("/usr/bin/php", "php -f x.php", "x.php"),
            ("/usr/bin/php", "php -r 1;", "php"),
            ("/usr/sbin/php-fpm8.2", "php-fpm: master", "php-fpm8.2"),
            ("/usr/bin/perl", "perl -wT -I lib -Mstrict srv.pl", "srv.pl"),
            ("/usr/bin/perl5.36.0", "perl -wne 1 x", "perl5.36.0"),
            ("/b/bun", "bun --watch run server.ts", "server.ts"),
            ("/b/bun", "bun server.ts", "server.ts"),
            ("/b/deno", "deno run --allow-net -A srv.ts", "srv.ts"),
            ("/b/deno", "deno serve --port 80 srv.ts", "srv.ts"),
            ("/d/dotnet", "dotnet app.dll", "app.dll"),
            (
                "/d/dotnet",
                "dotnet exec --depsfile a.json app.dll",
                "app.dll",
            ),
            ("/d/dotnet", "dotnet build", "dotnet"),
            ("/usr/sbin/nginx", "nginx:_master_process_/x/y", "nginx"),
            ("/usr/sbin/apache2", "/usr/sbin/apache2 -k start", "apache2"),
            ("/bin/busybox", "/usr/sbin/httpd -f", "httpd"),
            ("/bin/busybox", "", "busybox"),
            ("/srv/app (deleted)", "./app", "app"),
            ("", "/srv/app", "app"),
            ("", "", ""),
        ];
        for (exe, line, expected) in rows {
            assert_eq!(name(exe, line), expected, "{exe}: {line}");
        }
    }

    proptest! {
        #[test]
        fn any_command_line_has_a_name_without_panic(
            exe in prop::sample::select(vec!["python3", "node", "java", "ruby", "php", "perl", "bun", "deno", "dotnet"]),
            words in prop::collection::vec("(-{0,2}[a-zA-Z./]{0,4}|-jar|-m|exec|bundle|/|\\.)", 0..6),
        ) {
            let argv = words.iter().map(|w| w.as_bytes());
            prop_assert!(!program(exe.as_bytes(), argv).name.is_empty());
        }
    }
}
