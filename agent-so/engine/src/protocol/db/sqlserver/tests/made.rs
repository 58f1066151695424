//! Messages.

use super::*;

pub(super) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A message in one packet.
pub(super) fn message(kind: u8, content: &[u8]) -> Vec<u8> {
    packet(kind, 1, content)
}

pub(super) fn packet(kind: u8, status: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = (content.len() as u16 + 8).to_be_bytes();
    [&[kind, status, high, low, 0, 0, 1, 0], content].concat()
}

/// A list of options, and them.
pub(super) fn prelogin(kind: u8, encryption: u8, instance: &[u8]) -> Vec<u8> {
    let options: [(u8, &[u8]); 4] = [
        (0, &[16, 0, 0, 0, 0, 0]),
        (1, &[encryption]),
        (2, instance),
        (4, &[0]),
    ];
    let (mut list, mut data) = (Vec::new(), Vec::new());
    let start = 5 * options.len() + 1;
    for (what, value) in options {
        list.push(what);
        list.extend(((start + data.len()) as u16).to_be_bytes());
        list.extend((value.len() as u16).to_be_bytes());
        data.extend(value);
    }
    list.push(0xff);
    message(kind, &[list, data].concat())
}

/// A login with the version 7.4: who, the password (as it is hidden), the server, the database.
pub(super) fn login(server: &str, database: &str) -> Vec<u8> {
    login_as(0x7400_0004, server, database)
}

pub(super) fn login_as(version: u32, server: &str, database: &str) -> Vec<u8> {
    let hidden: Vec<u8> = utf16("canary")
        .iter()
        .map(|b| b.rotate_left(4) ^ 0xa5)
        .collect();
    let texts = [
        utf16("host"),
        utf16("canary-user"),
        hidden,
        utf16("canary-application"),
        utf16(server),
        Vec::new(),
        utf16("library"),
        Vec::new(),
        utf16(database),
    ];
    let fixed = if version >> 24 == 0x71 { 86 } else { 94 };
    let (mut head, mut data) = (vec![0; 4], Vec::new());
    head.extend(version.to_le_bytes());
    head.resize(36, 0);
    let mut place = |text: &[u8], head: &mut Vec<u8>| {
        head.extend(((fixed + data.len()) as u16).to_le_bytes());
        head.extend((text.len() as u16 / 2).to_le_bytes());
        data.extend(text);
    };
    for text in &texts {
        place(text, &mut head);
    }
    head.extend([1, 2, 3, 4, 5, 6]);
    place(b"", &mut head);
    place(b"", &mut head);
    if fixed == 94 {
        place(b"", &mut head);
        head.extend([0; 4]);
    }
    let length = (fixed + data.len()) as u32;
    head[..4].copy_from_slice(&length.to_le_bytes());
    message(0x10, &[head, data].concat())
}

fn long(text: &str) -> Vec<u8> {
    [
        &(text.encode_utf16().count() as u16).to_le_bytes()[..],
        &utf16(text),
    ]
    .concat()
}

pub(super) fn short(text: &str) -> Vec<u8> {
    [&[text.encode_utf16().count() as u8][..], &utf16(text)].concat()
}

pub(super) fn counted(token: u8, content: &[u8]) -> Vec<u8> {
    [&[token][..], &(content.len() as u16).to_le_bytes(), content].concat()
}

pub(super) fn error(number: u32) -> Vec<u8> {
    let rest = [
        vec![1, 16],
        long("canary text"),
        short("server"),
        short(""),
        vec![1, 0, 0, 0],
    ];
    counted(
        0xaa,
        &[number.to_le_bytes().to_vec(), rest.concat()].concat(),
    )
}

pub(super) fn database(name: &str) -> Vec<u8> {
    counted(0xe3, &[vec![1], short(name), short("master")].concat())
}

pub(super) fn done(token: u8, status: u16, command: u16, count: u64) -> Vec<u8> {
    let mut bytes = vec![token];
    bytes.extend(status.to_le_bytes());
    bytes.extend(command.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes
}

/// Nothing to say.
pub(super) fn fine() -> Vec<u8> {
    done(0xfd, 0, 0, 0)
}

pub(super) fn accepted() -> Vec<u8> {
    let version = [
        vec![1, 0x74, 0, 0, 4],
        short("Microsoft SQL Server"),
        vec![16, 0, 0, 0],
    ];
    counted(0xad, &version.concat())
}

pub(super) fn answer(tokens: &[Vec<u8>]) -> Step {
    In(message(4, &tokens.concat()))
}

/// A connection without encryption.
pub(super) fn logged_in() -> Vec<Step> {
    vec![
        Out(prelogin(0x12, 2, b"\0")),
        In(prelogin(4, 2, b"\0")),
        Out(login("db.example", "shop")),
        answer(&[database("shop"), accepted(), fine()]),
    ]
}

const HEADERS: [u8; 22] = [
    22, 0, 0, 0, 18, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
];

pub(super) fn with_headers(content: &[u8]) -> Vec<u8> {
    [&HEADERS, content].concat()
}

pub(super) fn batch(text: &str) -> Step {
    Out(message(1, &with_headers(&utf16(text))))
}

/// A parameter: its type, and its value.
pub(super) fn parameter(name: &str, typed: &[u8]) -> Vec<u8> {
    [&short(name), &[0][..], typed].concat()
}

pub(super) fn nvarchar(text: &str) -> Vec<u8> {
    let text = utf16(text);
    let mut bytes = vec![0xe7, 0x40, 0x1f, 9, 4, 0xd0, 0, 0x34];
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text);
    bytes
}

pub(super) fn int(number: u32) -> Vec<u8> {
    [&[0x26, 4, 4][..], &number.to_le_bytes()].concat()
}

pub(super) const NO_INT: [u8; 3] = [0x26, 4, 0];

/// A call of the procedure with this number.
pub(super) fn call(number: u16, parameters: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xff];
    bytes.extend(number.to_le_bytes());
    bytes.extend([0, 0]);
    for typed in parameters {
        bytes.extend(parameter("", typed));
    }
    bytes
}

pub(super) fn named(name: &str, parameters: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = long(name);
    bytes.extend([0, 0]);
    for typed in parameters {
        bytes.extend(parameter("@a", typed));
    }
    bytes
}

pub(super) fn rpc(calls: &[Vec<u8>]) -> Step {
    Out(message(3, &with_headers(&calls.join(&0xff))))
}

/// The number of a statement is given back.
pub(super) fn returned(handle: u32) -> Vec<u8> {
    [&[0xac, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &int(handle)].concat()
}

/// The description of columns.
pub(super) fn columns(types: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![0x81];
    bytes.extend((types.len() as u16).to_le_bytes());
    for kind in types {
        bytes.extend([0, 0, 0, 0, 9, 0]);
        bytes.extend(*kind);
        bytes.extend(short("name"));
    }
    bytes
}

pub(super) const INT: &[u8] = &[0x38];
pub(super) const NVARCHAR: &[u8] = &[0xe7, 100, 0, 9, 4, 0xd0, 0, 0x34];

/// Two columns and so many rows.
pub(super) fn rows(count: usize) -> Vec<u8> {
    let row = [0xd1, 7, 0, 0, 0, 2, 0, 0x61, 0];
    [columns(&[INT, NVARCHAR]), row.repeat(count)].concat()
}
