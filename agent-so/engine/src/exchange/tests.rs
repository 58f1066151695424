//! What is kept of an exchange.

use super::*;

#[test]
fn texts_are_appended_capped_and_trimmed() {
    let mut ex = Exchange::default();
    assert_eq!(ex.text(Field::Host), None);
    ex.begin(Field::Host);
    ex.append(Field::Host, b"exam", 6);
    ex.append(Field::Host, b"ple", 6);
    assert_eq!(ex.text(Field::Host), Some(&b"exampl"[..]));
    assert!(ex.is_cut(Field::Host));
    ex.set(Field::UserAgent, b"curl/8 \t", VALUE_MAX);
    ex.trim_end(Field::UserAgent);
    assert_eq!(ex.text(Field::UserAgent), Some(&b"curl/8"[..]));
    ex.append(Field::Host, b"x", 100);
    assert_eq!(
        ex.text(Field::Host),
        Some(&b"exampl"[..]),
        "a text is contiguous"
    );
    ex.reset();
    assert_eq!(ex.text(Field::UserAgent), None);
}

#[test]
fn numbers_are_decimal() {
    let mut ex = Exchange::default();
    for number in [0, 7, 2067, -1, i64::MAX, i64::MIN] {
        ex.set_number(Field::Code, number);
        assert_eq!(ex.text(Field::Code), Some(number.to_string().as_bytes()));
    }
    ex.set(Field::Host, b"h:", VALUE_MAX);
    ex.append_number(Field::Host, 80);
    assert_eq!(ex.text(Field::Host), Some(&b"h:80"[..]));
}

#[test]
fn the_arena_is_never_exceeded() {
    let mut ex = Exchange::default();
    ex.set(Field::Target, &[b'a'; TEXT_ARENA], usize::MAX);
    ex.set(Field::Host, b"h", 255);
    assert_eq!(ex.text(Field::Host), Some(&b""[..]));
    assert!(ex.is_cut(Field::Host));
}

#[test]
fn a_text_can_be_continued_and_shared() {
    let mut ex = Exchange::default();
    ex.set(Field::Tracestate, b"a=1", VALUE_MAX);
    assert!(ex.capture_text(3, false, Field::Tracestate, 0));
    ex.set(Field::Host, b"h", VALUE_MAX);
    ex.reopen(Field::Tracestate);
    ex.append(Field::Tracestate, b",b=2", VALUE_MAX);
    assert!(ex.capture_text(3, false, Field::Tracestate, 4));
    assert_eq!(ex.text(Field::Tracestate), Some(&b"a=1,b=2"[..]));
    assert_eq!(ex.text(Field::Host), Some(&b"h"[..]));
    let values: Vec<&[u8]> = ex.captured().map(|(_, value)| value).collect();
    assert_eq!(values, [&b"a=1"[..], b"b=2"]);
    ex.set(Field::Target, &[b'a'; TEXT_ARENA], usize::MAX);
    ex.reopen(Field::Tracestate);
    ex.append(Field::Tracestate, b",c=3", VALUE_MAX);
    assert!(ex.is_cut(Field::Tracestate));
    assert_eq!(ex.text(Field::Tracestate), Some(&b"a=1,b=2"[..]));
}

#[test]
fn captured_headers_and_baggage_have_a_limit() {
    let mut ex = Exchange::default();
    for i in 0..CAPTURED_MAX {
        assert!(ex.begin_captured(i as u8, i % 2 == 1));
        ex.append_captured(b"v ", 8);
        ex.trim_captured();
    }
    assert!(!ex.begin_captured(99, false));
    assert_eq!(ex.captured().count(), CAPTURED_MAX);
    assert!(ex.captured().all(|(_, v)| v == b"v"));
    assert!(ex.append_baggage(&[b'b'; BAGGAGE_MAX]));
    assert!(!ex.append_baggage(b"c"));
    assert_eq!(ex.baggage().len(), BAGGAGE_MAX);
}
