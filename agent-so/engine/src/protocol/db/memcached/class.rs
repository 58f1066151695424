//! Classes of replies, as bits: what may answer what.

pub(super) type Classes = u32;

pub(super) const VALUE: Classes = 1;
pub(super) const END: Classes = 1 << 1;
pub(super) const STAT: Classes = 1 << 2;
pub(super) const STORED: Classes = 1 << 3;
pub(super) const NOT_FOUND: Classes = 1 << 4;
pub(super) const DELETED: Classes = 1 << 5;
pub(super) const TOUCHED: Classes = 1 << 6;
pub(super) const NUMBER: Classes = 1 << 7;
pub(super) const VERSION: Classes = 1 << 8;
pub(super) const VA: Classes = 1 << 9;
pub(super) const HD: Classes = 1 << 10;
pub(super) const EN: Classes = 1 << 11;
pub(super) const NS: Classes = 1 << 12;
pub(super) const EX: Classes = 1 << 13;
pub(super) const NF: Classes = 1 << 14;
pub(super) const MN: Classes = 1 << 15;
pub(super) const ME: Classes = 1 << 16;
/// Of the commands that administrate.
pub(super) const OTHER: Classes = 1 << 17;
pub(super) const ERROR: Classes = 1 << 18;

/// The class of a line by its first word.
pub(super) fn of(word: &[u8]) -> Option<Classes> {
    Some(match word {
        b"VALUE" => VALUE,
        b"END" => END,
        b"STAT" | b"ITEM" | b"PREFIX" => STAT,
        b"STORED" | b"NOT_STORED" | b"EXISTS" => STORED,
        b"NOT_FOUND" => NOT_FOUND,
        b"DELETED" => DELETED,
        b"TOUCHED" => TOUCHED,
        b"VERSION" => VERSION,
        b"VA" => VA,
        b"HD" => HD,
        b"EN" => EN,
        b"NS" => NS,
        b"EX" => EX,
        b"NF" => NF,
        b"MN" => MN,
        b"ME" => ME,
        b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR" => ERROR,
        b"OK" | b"RESET" | b"BUSY" | b"BADCLASS" | b"NOSPARE" | b"NOTFULL" | b"UNSAFE"
        | b"SAME" | b"DONE" => OTHER,
        _ if word.first()?.is_ascii_digit() && word.iter().all(u8::is_ascii_digit) => NUMBER,
        _ => return None,
    })
}
