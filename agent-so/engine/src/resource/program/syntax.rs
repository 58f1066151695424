//! The options of each interpreter, as far as they tell the program from an option's value: data only.

use super::Interpreter;

/// The options of an interpreter that matter here.
pub(super) struct Syntax {
    /// Letters whose value is program text: there is no script then.
    pub(super) code: &'static [u8],
    /// Letters whose value is a module name.
    pub(super) module: &'static [u8],
    /// Letters whose value is the script.
    pub(super) script: &'static [u8],
    /// Letters that have a value: the rest of the word, or the next word.
    pub(super) value: &'static [u8],
    /// Letters that take the rest of the word and never the next.
    pub(super) rest: &'static [u8],
    /// Whole words that are code, module, script; and those that have a value in the next word.
    pub(super) word_code: &'static [&'static str],
    pub(super) word_module: &'static [&'static str],
    pub(super) word_script: &'static [&'static str],
    pub(super) word_value: &'static [&'static str],
    /// Whether one dash begins a cluster of letters (else a whole word, as for `java`).
    pub(super) letters: bool,
    /// First words that are commands of the interpreter and are followed by the script.
    pub(super) commands: &'static [&'static str],
}

const PYTHON: Syntax = Syntax {
    code: b"c",
    module: b"m",
    value: b"WXQ",
    word_value: &["--check-hash-based-pycs"],
    letters: true,
    ..EMPTY
};
const NODE: Syntax = Syntax {
    code: b"ep",
    value: b"rC",
    word_code: &["--eval", "--print", "-pe"],
    word_value: &[
        "--require",
        "--import",
        "--loader",
        "--experimental-loader",
        "--conditions",
        "--env-file",
        "--env-file-if-exists",
        "--title",
        "--inspect-port",
        "--debug-port",
        "--icu-data-dir",
        "--openssl-config",
        "--max-http-header-size",
        "--unhandled-rejections",
        "--diagnostic-dir",
        "--redirect-warnings",
        "--trace-event-categories",
        "--input-type",
        "--experimental-default-type",
        "--dns-result-order",
        "--watch-path",
        "--disable-warning",
        "--tls-cipher-list",
        "--cpu-prof-dir",
        "--heap-prof-dir",
        "--report-dir",
        "--allow-fs-read",
        "--allow-fs-write",
        "--network-family-autoselection-attempt-timeout",
    ],
    letters: true,
    commands: &["inspect"],
    ..EMPTY
};
const JAVA: Syntax = Syntax {
    word_script: &["-jar"],
    word_module: &["-m", "--module"],
    word_value: &[
        "-cp",
        "-classpath",
        "--class-path",
        "-p",
        "--module-path",
        "--upgrade-module-path",
        "--add-modules",
        "--add-exports",
        "--add-opens",
        "--add-reads",
        "--limit-modules",
        "--patch-module",
        "--enable-native-access",
        "--source",
    ],
    ..EMPTY
};
const RUBY: Syntax = Syntax {
    code: b"e",
    value: b"rICE",
    rest: b"xWKTFi0",
    word_value: &[
        "--encoding",
        "--external-encoding",
        "--internal-encoding",
        "--enable",
        "--disable",
    ],
    letters: true,
    ..EMPTY
};
const PHP: Syntax = Syntax {
    code: b"rBRE",
    script: b"fF",
    value: b"cdStzg",
    word_code: &["--run"],
    word_script: &["--file"],
    word_value: &[
        "--server",
        "--docroot",
        "--define",
        "--php-ini",
        "--zend-extension",
    ],
    letters: true,
    ..EMPTY
};
const PERL: Syntax = Syntax {
    code: b"eE",
    value: b"I",
    rest: b"MmFiCDx0lV",
    letters: true,
    ..EMPTY
};
const BUN: Syntax = Syntax {
    code: b"ep",
    value: b"rcd",
    word_code: &["--eval", "--print"],
    word_value: &[
        "--preload",
        "--require",
        "--import",
        "--config",
        "--cwd",
        "--env-file",
        "--define",
        "--port",
    ],
    letters: true,
    commands: &["run"],
    ..EMPTY
};
const DENO: Syntax = Syntax {
    value: b"c",
    word_value: &[
        "--config",
        "--import-map",
        "--cert",
        "--port",
        "--host",
        "--location",
        "--seed",
    ],
    letters: true,
    commands: &["run", "serve"],
    ..EMPTY
};
const DOTNET: Syntax = Syntax {
    word_value: &[
        "--depsfile",
        "--runtimeconfig",
        "--additionalprobingpath",
        "--additional-deps",
        "--fx-version",
        "--roll-forward",
    ],
    commands: &["exec"],
    ..EMPTY
};
const EMPTY: Syntax = Syntax {
    code: b"",
    module: b"",
    script: b"",
    value: b"",
    rest: b"",
    word_code: &[],
    word_module: &[],
    word_script: &[],
    word_value: &[],
    letters: false,
    commands: &[],
};

/// The options of `interpreter`.
pub(super) fn syntax(interpreter: Interpreter) -> &'static Syntax {
    match interpreter {
        Interpreter::Python | Interpreter::PyPy => &PYTHON,
        Interpreter::Node => &NODE,
        Interpreter::Java => &JAVA,
        Interpreter::Ruby => &RUBY,
        Interpreter::Php => &PHP,
        Interpreter::Perl => &PERL,
        Interpreter::Bun => &BUN,
        Interpreter::Deno => &DENO,
        Interpreter::Dotnet => &DOTNET,
    }
}
