//! What passed between real clients and Cassandra 5.0.

use super::*;
use crate::protocol::db::tests::recorded;

#[test]
fn the_python_driver() {
    for text in [include_str!("python_v5.txt"), include_str!("python_v4.txt")] {
        let (spans, _) = run(&recorded(text));
        let wanted = [
            "connect@shop 1-60",
            "INSERT INTO items (id, name, at, tags, pair) VALUES (1, 'canary', {street: 'canary', codes: [1]}, {'canary': {1}}, (1, 'canary'))@shop 70-80 level=2 page=5000",
            "INSERT INTO items (id, name) VALUES (2, 'canary')@shop 90-100 level=2 page=5000",
            "SELECT * FROM items WHERE id IN (1, 2)@shop 110-120 rows=2 level=2 page=5000",
            "INSERT INTO shop.items (id, name) VALUES (3, 'canary')@shop 130-140 level=2 page=5000",
            "SELECT name, at FROM items WHERE id = ?@shop 170-180 rows=1 level=2 page=5000",
            "SELECT name, at FROM items WHERE id = ?@shop 190-200 rows=0 level=2 page=5000",
            "SELECT id FROM items@shop 210-220 rows=2 level=5 page=2",
            "SELECT id FROM items@shop 230-240 rows=1 level=5 page=2",
        ];
        assert_eq!(spans, wanted);
    }
}

#[test]
fn errors() {
    let (spans, _) = run(&recorded(include_str!("errors.txt")));
    let wanted = [
        "connect@shop 1-60",
        "SELECT canary@shop 70-80 8192 level=2 page=5000",
        "SELECT 'canary' FROM missing@shop 90-100 8704 level=2 page=5000",
        "SELECT * FROM missing WHERE id = ?@shop 110-120 8704",
        "USE missing@shop 130-140 8704 level=2 page=5000",
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn batches_and_keyspaces() {
    let (spans, _) = run(&recorded(include_str!("batches.txt")));
    let insert = "INSERT INTO items (id, name) VALUES (?, ?)";
    let wanted = [
        "connect@shop 1-60".to_owned(),
        format!("{insert}@shop 90-100 x3 level=2"),
        format!("{insert}; DELETE FROM items WHERE id = 4@shop 110-120 x2 level=2"),
        "USE system@shop 130-140 level=2 page=5000".to_owned(),
        "USE \"system\"@system 150-160 level=2".to_owned(),
        "SELECT key FROM local@system 170-180 rows=1 level=2 page=5000".to_owned(),
    ];
    assert_eq!(spans, wanted);
}

#[test]
fn a_version_that_is_refused_is_no_error() {
    let (spans, verdict) = run(&recorded(include_str!("refused_version.txt")));
    assert_eq!(spans, ["connect@- 1-20"]);
    assert_eq!(verdict, Some(Verdict::Opaque));
    // One that is spoken, with something else that is wrong.
    let error = b"\0\0\0\x0a\0\x01x";
    let steps = [options(4), In(frame(0x84, 0, 0, 0, error)), Close];
    assert_eq!(run(&steps).0, ["connect@- 1-20 10"]);
}
