//! What is shown of commands, and what is not.

use proptest::prelude::*;

use super::*;

fn redis(command: &str, cut: bool) -> String {
    let mut out = [0u8; 200];
    let shown = redis::text(command.split(' ').map(str::as_bytes), cut, &mut out);
    String::from_utf8(out[..shown.len].to_vec()).unwrap()
}

#[test]
fn redis_shows_keys_and_no_values() {
    for (command, shown) in [
        ("GET user:1", "GET user:1"),
        ("get a", "get a"),
        ("SET k v EX 10", "SET k ? ? ?"),
        (
            "HMSET myhash field1 Hello field2 World",
            "HMSET myhash field1 ? field2 ?",
        ),
        ("HSET h f v", "HSET h f ?"),
        ("HGET h f", "HGET h f"),
        ("HSETNX h f v", "HSETNX h f ?"),
        ("MGET a b c", "MGET a b c"),
        ("MSET a 1 b 2", "MSET a ? b ?"),
        ("DEL a b", "DEL a b"),
        ("LPUSH l x y", "LPUSH l ? ?"),
        ("ZADD z 1 member", "ZADD z ? ?"),
        ("RENAME a b", "RENAME a b"),
        ("PUBLISH channel message", "PUBLISH channel ?"),
        ("SELECT 5", "SELECT ?"),
        ("PING", "PING"),
        ("PING secret", "PING ?"),
        ("AUTH secret", "AUTH ?"),
        ("AUTH user secret", "AUTH ? ?"),
        ("HELLO 3 AUTH user secret SETNAME me", "HELLO ? ? ? ? ? ?"),
        ("ACL SETUSER bob >secret", "ACL SETUSER ? ?"),
        ("CONFIG SET requirepass secret", "CONFIG SET ? ?"),
        (
            "MIGRATE host 6379 key 0 5000 AUTH secret",
            "MIGRATE ? ? ? ? ? ? ?",
        ),
        ("EVAL return(1) 1 key secret", "EVAL ? ? ? ?"),
        ("EVALSHA abc 0", "EVALSHA ? ?"),
        ("CLIENT SETINFO lib-name x", "CLIENT SETINFO ? ?"),
        ("UNHEARD.OF secret", "UNHEARD.OF ?"),
        ("\u{1}binary x", ""),
        ("", ""),
    ] {
        assert_eq!(redis(command, false), shown, "{command}");
    }
}

#[test]
fn half_a_word_is_not_shown() {
    assert_eq!(redis("GET user:1", true), "GET ?");
    assert_eq!(redis("GE", true), "");
    assert_eq!(redis("CONFIG SE", true), "CONFIG ?");
    assert_eq!(redis("MGET a bc", true), "MGET a ?");
}

#[test]
fn odd_keys_are_not_shown() {
    let mut out = [0u8; 99];
    for key in [&b"a b"[..], b"\xff", b"", &[b'k'; 251], b"a\n"] {
        let shown = redis::text([&b"GET"[..], key].into_iter(), false, &mut out);
        assert_eq!(&out[..shown.len], b"GET ?");
    }
}

#[test]
fn what_does_not_fit_is_left_out_whole() {
    let mut out = [0u8; 8];
    let words = [&b"MGET"[..], b"abc", b"d"];
    let shown = redis::text(words.into_iter(), false, &mut out);
    assert_eq!(
        (&out[..shown.len], shown.truncated),
        (&b"MGET abc"[..], true)
    );
    let shown = redis::text(words.into_iter(), false, &mut out[..6]);
    assert_eq!((shown.len, shown.truncated), (4, true));
}

#[test]
fn memcached_shows_the_first_key() {
    for (line, cut, shown) in [
        ("get k1 k2 k3", false, "get k1 ? ?"),
        ("set k 0 0 5 noreply", false, "set k ? ? ? ?"),
        ("gat 60 k", false, "gat ? k"),
        ("mg k v t", false, "mg k ? ?"),
        ("incr n 5", false, "incr n ?"),
        ("flush_all 10", false, "flush_all ?"),
        ("stats", false, "stats"),
        ("get half", true, "get ?"),
        ("secret words", false, ""),
        ("", false, ""),
    ] {
        let mut out = [0u8; 99];
        let text = memcached::text(line.as_bytes(), cut, &mut out);
        assert_eq!(
            std::str::from_utf8(&out[..text.len]).unwrap(),
            shown,
            "{line}"
        );
    }
    assert!(memcached::is_command(b"gets") && !memcached::is_command(b"GETS"));
}

#[test]
fn names_of_mongodb() {
    assert!(
        mongodb::is_command(b"find") && !mongodb::is_command(b"$bad") && !mongodb::is_command(b"")
    );
    assert!(mongodb::names_collection(b"aggregate") && !mongodb::names_collection(b"getMore"));
    assert!(!mongodb::names_collection(b"saslStart"));
}

proptest! {
    /// Values and secrets of known and unknown commands, of any length.
    #[test]
    fn no_value_is_shown(
        command in prop::sample::select(vec![
            "SET k", "AUTH", "AUTH u", "HELLO 3 AUTH u", "CONFIG SET requirepass", "ACL SETUSER u", "EVAL", "LPUSH l",
            "HSET h f", "MSET k", "FCALL", "MIGRATE h 1 k 0 1 AUTH", "SCRIPT LOAD", "PUBLISH c", "X.Y", "PFADD k", "CLIENT KILL",
        ]),
        value in "Q[ -~]{0,20}",
        room in 0usize..99,
    ) {
        let mut out = [0u8; 99];
        let words = command.split(' ').map(str::as_bytes).chain([value.as_bytes()]);
        let shown = redis::text(words, false, &mut out[..room]);
        prop_assert!(!out[..shown.len].contains(&b'Q'));
    }
}
