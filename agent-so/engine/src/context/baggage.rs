//! `baggage`: passed through byte for byte within the limits that W3C asks for.

use super::trim;

/// Most members that are passed on.
const MEMBERS_MAX: usize = 64;
/// Most bytes that are passed on.
const BYTES_MAX: usize = 8192;

/// The part of `value` that is sent on in at most `room` bytes: all of it, or as many whole members from the left
/// as the limits allow. Empty when the value has control characters: it could break the request that carries it.
pub fn limited(value: &[u8], room: usize) -> &[u8] {
    if value.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
        return &[];
    }
    let value = trim(value);
    let room = room.min(BYTES_MAX);
    let mut members = 0;
    let mut start = 0;
    let mut end = 0;
    for member in value.split(|b| *b == b',') {
        let stop = start + member.len();
        members += usize::from(!trim(member).is_empty());
        if members > MEMBERS_MAX || stop > room {
            break;
        }
        end = stop;
        start = stop + 1;
    }
    trim(&value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits() {
        let text = b" userId=alice,serverNode=DF%2028 , isProduction=false;meta=1 ";
        assert_eq!(limited(text, 9000), &text[1..text.len() - 1]);
        assert_eq!(limited(b"a=1,b=2,c=3", 10), b"a=1,b=2");
        assert_eq!(limited(b"a=1,b=2", 2), b"");
        assert_eq!(limited(b"a=1\r\nx: y", 100), b"");
        let many = vec!["a=1"; 65].join(",");
        assert_eq!(limited(many.as_bytes(), 9000).len(), 64 * 4 - 1);
        let long = format!("a=1,b={}", "x".repeat(8190));
        assert_eq!(limited(long.as_bytes(), 9000), b"a=1");
    }

    proptest! {
        #[test]
        fn any_bytes_are_limited(value in prop::collection::vec(any::<u8>(), 0..60), room in 0usize..60) {
            prop_assert!(limited(&value, room).len() <= room);
        }
    }
}
