//! The `#!` line of a script, read as the kernel reads it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// How much of a file the kernel looks at (`BINPRM_BUF_SIZE`).
pub(crate) const HEAD: usize = 256;

/// A `#!` line: the interpreter and the one argument that the kernel passes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shebang {
    /// The interpreter, as written.
    pub(crate) interpreter: PathBuf,
    /// Everything after it, as one argument.
    pub(crate) argument: Option<OsString>,
}

/// Reads the `#!` line at the start of `head`, the first [`HEAD`] bytes of a file.
///
/// `None`: there is none that the kernel would follow. As in the kernel, a line that does not end within
/// these bytes counts only when the interpreter's name does.
pub(crate) fn parse(head: &[u8]) -> Option<Shebang> {
    let head = head.get(..HEAD).unwrap_or(head);
    let text = head.strip_prefix(b"#!")?;
    let line = match memchr::memchr(b'\n', text) {
        Some(end) => &text[..end],
        None if head.len() < HEAD => text,
        None => {
            let name = trim_start(text);
            name.iter().position(|&byte| ends_word(byte))?;
            text
        }
    };
    let line = trim_end(trim_start(line));
    let end = line
        .iter()
        .position(|&byte| ends_word(byte))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if name.is_empty() {
        return None;
    }
    let argument = match rest.first() {
        None | Some(0) => None,
        Some(_) => {
            let argument = trim_start(rest);
            let end = memchr::memchr(0, argument).unwrap_or(argument.len());
            (end > 0).then(|| OsString::from_vec(argument[..end].to_vec()))
        }
    };
    Some(Shebang {
        interpreter: PathBuf::from(OsStr::from_bytes(name)),
        argument,
    })
}

/// Whether the file looks like text that a shell could run: no NUL among the first bytes.
pub(crate) fn looks_like_text(head: &[u8]) -> bool {
    !head.contains(&0)
}

/// What `#!/usr/bin/env ARGUMENT` runs, when `shebang` is one: a program and its first words.
///
/// Follows `env`'s own reading: without `-S` the whole argument is one name; with it the words are split,
/// and options and `NAME=value` words come first.
pub(crate) fn env_command(shebang: &Shebang) -> Option<Vec<OsString>> {
    if shebang.interpreter.file_name() != Some(OsStr::new("env")) {
        return None;
    }
    let argument = shebang.argument.as_ref()?.as_bytes();
    let split = ["-S", "-vS", "--split-string="]
        .iter()
        .find_map(|option| argument.strip_prefix(option.as_bytes()));
    let words: Vec<&[u8]> = match split {
        Some(rest) => rest
            .split(|&byte| is_blank(byte))
            .filter(|word| !word.is_empty())
            .collect(),
        None => vec![argument],
    };
    let command: Vec<OsString> = words
        .into_iter()
        .skip_while(|word| word.starts_with(b"-") || word.contains(&b'='))
        .map(|word| OsStr::from_bytes(word).to_os_string())
        .collect();
    (!command.is_empty()).then_some(command)
}

/// Whether the name ends in a carriage return: a script saved with Windows line ends.
pub(crate) fn has_windows_line_end(interpreter: &Path) -> bool {
    interpreter.as_os_str().as_bytes().ends_with(b"\r")
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn ends_word(byte: u8) -> bool {
    is_blank(byte) || byte == 0
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text
        .iter()
        .position(|&byte| !is_blank(byte))
        .unwrap_or(text.len());
    &text[start..]
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text
        .iter()
        .rposition(|&byte| !is_blank(byte))
        .map_or(0, |last| last + 1);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(head: &[u8]) -> Option<(String, Option<String>)> {
        parse(head).map(|shebang| {
            (
                shebang.interpreter.to_string_lossy().into_owned(),
                shebang
                    .argument
                    .map(|argument| argument.to_string_lossy().into_owned()),
            )
        })
    }

    #[test]
    fn lines() {
        let long_name = [b"#!/".as_slice(), &[b'a'; 300]].concat();
        let long_argument = [b"#!/bin/sh ".as_slice(), &[b'a'; 300]].concat();
        type Expected<'a> = Option<(&'a str, Option<&'a str>)>;
        let table: &[(&[u8], Expected)] = &[
            (b"#!/bin/sh\n", Some(("/bin/sh", None))),
            (b"#!/bin/sh", Some(("/bin/sh", None))),
            (b"#! \t/bin/sh  \n", Some(("/bin/sh", None))),
            (b"#!/bin/sh -e -x \necho", Some(("/bin/sh", Some("-e -x")))),
            (
                b"#!/usr/bin/env python3\n",
                Some(("/usr/bin/env", Some("python3"))),
            ),
            (b"#!/bin/sh\r\n", Some(("/bin/sh\r", None))),
            (b"#!relative/sh\n", Some(("relative/sh", None))),
            (b"#!/bin/sh\0rest\n", Some(("/bin/sh", None))),
            (b"#!\n/bin/sh", None),
            (b"#!   \n", None),
            (b"#!", None),
            (b"#", None),
            (b"", None),
            (b" #!/bin/sh\n", None),
            (b"\x7fELF", None),
            (&long_name, None),
        ];
        for (head, expected) in table {
            let expected =
                expected.map(|(name, argument)| (name.to_owned(), argument.map(str::to_owned)));
            assert_eq!(read(head), expected, "{}", String::from_utf8_lossy(head));
        }
        let (name, argument) = read(&long_argument).unwrap();
        assert_eq!(name, "/bin/sh");
        assert_eq!(argument.unwrap().len(), HEAD - "#!/bin/sh ".len());
    }

    #[test]
    fn programs_behind_env() {
        let table: [(&str, &[&str]); 8] = [
            ("#!/usr/bin/env python3", &["python3"]),
            ("#!/usr/bin/env -S python3 -u", &["python3", "-u"]),
            (
                "#!/usr/bin/env -vS A=1 B=2 node --flag x=y",
                &["node", "--flag", "x=y"],
            ),
            ("#!/usr/bin/env --split-string=-i ruby -w", &["ruby", "-w"]),
            ("#!/usr/bin/env python3 -u", &["python3 -u"]),
            ("#!/usr/bin/env", &[]),
            ("#!/usr/bin/env -S", &[]),
            ("#!/usr/bin/python3 -u", &[]),
        ];
        for (line, expected) in table {
            let shebang = parse(line.as_bytes()).unwrap();
            assert_eq!(
                env_command(&shebang).unwrap_or_default(),
                expected,
                "{line}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(tail in proptest::collection::vec(any::<u8>(), 0..400)) {
            for head in [tail.clone(), [b"#!".as_slice(), &tail].concat()] {
                if let Some(shebang) = parse(&head) {
                    prop_assert!(!shebang.interpreter.as_os_str().is_empty());
                    env_command(&shebang);
                }
            }
        }
    }
}
