//! `tracestate`: checked and passed through as text. The agent has no entry of its own.

use super::trim;

/// Most members of a list.
const MEMBERS_MAX: usize = 32;
/// Longest key and longest value, bytes.
const PART_MAX: usize = 256;
/// Members longer than this are the first to go when room is short.
const LONG_MEMBER: usize = 128;

/// The value without white space around it if it is a valid list with at least one member, else `None`: it is
/// then not sent on. `cut` says that the text was longer than what was kept: its last member is left out.
pub fn valid(value: &[u8], cut: bool) -> Option<&[u8]> {
    let value = match (cut, value.iter().rposition(|b| *b == b',')) {
        (false, _) => value,
        (true, Some(comma)) => &value[..comma],
        (true, None) => return None,
    };
    let mut members = 0;
    for member in members_of(value) {
        members += 1;
        if members > MEMBERS_MAX || !is_member(member) {
            return None;
        }
    }
    (members > 0).then(|| trim(value))
}

/// Writes a valid list into `out` and returns how many bytes that took. Without room for all, whole members are dropped:
/// first those longer than 128 bytes, from the right, then others from the right. What fits is copied as it is.
pub fn write(value: &[u8], out: &mut [u8]) -> usize {
    if let Some(room) = out.get_mut(..value.len()) {
        room.copy_from_slice(value);
        return value.len();
    }
    // Bit i: member i is kept.
    let mut kept: u64 = (1 << MEMBERS_MAX) - 1;
    let mut size = 0;
    let mut count = 0;
    for member in members_of(value).take(MEMBERS_MAX) {
        size += member.len() + usize::from(count > 0);
        count += 1;
    }
    for longest_first in [true, false] {
        for index in (0..count).rev() {
            if size <= out.len() {
                break;
            }
            let len = members_of(value).nth(index).map_or(0, <[u8]>::len);
            if kept & 1 << index != 0 && (!longest_first || len > LONG_MEMBER) {
                kept &= !(1 << index);
                size = size.saturating_sub(len + 1);
            }
        }
    }
    let mut at = 0;
    for (index, member) in members_of(value).take(MEMBERS_MAX).enumerate() {
        let comma = usize::from(at > 0);
        if kept & 1 << index == 0 {
            continue;
        }
        let Some(room) = out.get_mut(at..at + comma + member.len()) else {
            break;
        };
        room[..comma].fill(b',');
        room[comma..].copy_from_slice(member);
        at += comma + member.len();
    }
    at
}

/// The members, trimmed, empty ones left out.
fn members_of(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|b| *b == b',')
        .map(trim)
        .filter(|member| !member.is_empty())
}

fn is_member(member: &[u8]) -> bool {
    let Some(equals) = member.iter().position(|b| *b == b'=') else {
        return false;
    };
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    let first = key
        .first()
        .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let key_byte = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/@".contains(b);
    let value_byte = |b: &u8| (b' '..=b'~').contains(b) && *b != b'=';
    first
        && key.len() <= PART_MAX
        && key.iter().all(key_byte)
        && (1..=PART_MAX).contains(&value.len())
        && value.iter().all(value_byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn verdicts() {
        let k256 = format!("{}=1", "k".repeat(256));
        let k257 = format!("{}=1", "k".repeat(257));
        let v256 = format!("k={}", "v".repeat(256));
        let v257 = format!("k={}", "v".repeat(257));
        let list = |n: usize| {
            (0..n)
                .map(|i| format!("k{i}=1"))
                .collect::<Vec<_>>()
                .join(",")
        };
        let (l32, l33) = (list(32), list(33));
        let rows = [
            ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", true),
            ("foo=1 \t , \t bar=2", true),
            (" foo=1 ", true),
            ("foo=1,,bar=2,", true),
            ("foo=1,foo=2", true),
            ("0t@sys=1", true),
            ("a*-_/@b= x", true),
            (&k256, true),
            (&v256, true),
            (&l32, true),
            ("", false),
            (" , ", false),
            ("foo =1", false),
            ("FOO=1", false),
            ("foo.bar=1", false),
            ("@foo=1", false),
            ("foo=bar=baz", false),
            ("foo=", false),
            ("=1", false),
            ("foo", false),
            ("foo=a\tb", false),
            ("foo=é", false),
            ("foo=1\r\nx: y", false),
            (&k257, false),
            (&v257, false),
            (&l33, false),
        ];
        for (text, expected) in rows {
            assert_eq!(valid(text.as_bytes(), false).is_some(), expected, "{text}");
        }
        assert_eq!(valid(b" a=1 , b=2\t", false), Some(&b"a=1 , b=2"[..]));
        assert_eq!(valid(b"a=1,b=2", true), Some(&b"a=1"[..]));
        assert_eq!(valid(b"a=1", true), None);
    }

    fn written(value: &str, room: usize) -> String {
        let mut out = vec![0; room];
        let len = write(value.as_bytes(), &mut out);
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn long_members_go_first_then_the_right_end() {
        let long = format!("l={}", "x".repeat(127));
        let value = format!("a=1,{long},b=2,{long},c=3");
        assert_eq!(written(&value, 1000), value);
        assert_eq!(
            written(&value, value.len() - 1),
            format!("a=1,{long},b=2,c=3")
        );
        assert_eq!(written(&value, 100), "a=1,b=2,c=3");
        assert_eq!(written(&value, 10), "a=1,b=2");
        assert_eq!(written(&value, 3), "a=1");
        assert_eq!(written(&value, 2), "");
        assert_eq!(written("a=1 , b=2", 8), "a=1,b=2");
    }

    proptest! {
        #[test]
        fn cutting_keeps_the_list_valid(
            members in prop::collection::vec(("[a-z][a-z0-9]{0,3}", "[a-z]{1,200}"), 1..33),
            room in 0usize..700,
        ) {
            let value = members.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
            prop_assert!(valid(value.as_bytes(), false).is_some());
            let text = written(&value, room);
            prop_assert!(text.is_empty() || valid(text.as_bytes(), false).is_some());
            prop_assert!(text.split(',').all(|m| m.is_empty() || value.split(',').any(|o| o == m)));
        }

        #[test]
        fn any_bytes_are_judged_and_written(value in prop::collection::vec(any::<u8>(), 0..80), room in 0usize..90, cut in any::<bool>()) {
            valid(&value, cut);
            let mut out = vec![0; room];
            prop_assert!(write(&value, &mut out) <= room);
        }
    }
}
