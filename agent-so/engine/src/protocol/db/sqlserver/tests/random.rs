//! Any split gives the same; noise does no harm, and neither does a host without room.

use super::*;
use crate::protocol::tests::whole;

fn conversation(all: &[(usize, usize)]) -> Vec<Step> {
    let mut steps = logged_in();
    for (ask, reply) in all {
        let prepare = [NO_INT.to_vec(), nvarchar("@a int"), nvarchar("SELECT @a")];
        steps.push(match ask {
            0 => batch("SELECT 'ä\u{1f600}'"),
            1 => rpc(&[call(13, &prepare)]),
            2 => rpc(&[call(12, &[int(5)]), call(15, &[int(5)])]),
            3 => rpc(&[
                named("p", &[nvarchar("a"), int(1)]),
                call(10, &[nvarchar("SELECT 1")]),
            ]),
            4 => Out(message(14, &with_headers(&[5, 0, 0, 0]))),
            _ => Out(message(6, b"")),
        });
        steps.push(match reply {
            0 => answer(&[fine()]),
            1 => answer(&[
                rows(2),
                done(0xff, 0x11, 0xc1, 2),
                returned(5),
                done(0xfe, 0, 0, 0),
            ]),
            2 => answer(&[database("other"), error(102), done(0xfd, 2, 0, 0)]),
            3 => answer(&[columns(&[&[0xf4]]), done(0xfd, 0x10, 0xc1, 2)]),
            4 => answer(&[vec![0xd2], done(0xfd, 0x20, 0, 0)]),
            _ => In(packet(4, 0, &rows(1))),
        });
    }
    steps.push(Close);
    steps
}

#[test]
fn without_room_nothing_is_told() {
    let steps = conversation(&[(0, 0), (1, 1), (2, 2), (3, 3), (4, 0)]);
    let mut full = Recorder {
        full: true,
        ..recorder()
    };
    full.run(&steps, whole);
    assert_eq!(full.events, [""; 0]);
    let mut host = Recorder {
        no_wides: true,
        ..recorder()
    };
    host.run(&steps[..10], whole);
    let spans = summary(&host);
    assert_eq!(spans[3], "EXECUTE sp_execute@shop 90-100 102");
}

#[test]
fn surrogates() {
    let decoded = |units: &[u16]| {
        let mut out = Vec::new();
        let mut decoder = Utf16::default();
        for byte in units.iter().flat_map(|unit| unit.to_le_bytes()) {
            decoder.push(&[byte], &mut |text| out.extend(text));
        }
        String::from_utf8(out).unwrap()
    };
    for units in [
        &[0x41, 0xd83d, 0xde00, 0x42][..],
        &[0xde00, 0x42],
        &[0xd83d, 0x42],
        &[0xd83d, 0xd83d, 0xde00],
        &[0xd800, 0xdc00],
    ] {
        assert_eq!(
            decoded(units),
            String::from_utf16_lossy(units),
            "{units:x?}"
        );
    }
}

proptest! {
    #[test]
    fn every_split_gives_the_same(
        all in proptest::collection::vec((0..6usize, 0..6usize), 1..7),
        cuts in proptest::collection::vec(0..1400usize, 0..8),
    ) {
        let steps = conversation(&all);
        let (spans, verdict) = run(&steps);
        let cut = replayed_cut(&steps, &cuts);
        prop_assert_eq!((summary(&cut), cut.verdict), (spans, verdict));
    }

    #[test]
    fn noise_is_harmless(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        kind in prop::sample::select(vec![1u8, 3, 4, 6, 7, 14, 16, 17, 18, 0x17]),
        begins in prop::sample::select(vec![0x81u8, 0xaa, 0xac, 0xad, 0xae, 0xd1, 0xe3, 0xfd]),
        out in any::<bool>(),
    ) {
        let content = [&[begins], &noise[..]].concat();
        let step = |bytes| if out { Out(bytes) } else { In(bytes) };
        let with = |mut steps: Vec<Step>, more: &[Step]| {
            steps.extend_from_slice(more);
            replayed(&steps);
        };
        with(logged_in(), &[step(message(kind, &noise)), answer(&[fine()]), Close]);
        with(logged_in(), &[batch("SELECT 1"), In(message(4, &content)), Close]);
        with(logged_in(), &[batch("SELECT 1"), In(message(4, &[rows(1), noise.clone()].concat())), Close]);
        with(logged_in(), &[Out(message(3, &with_headers(&noise))), Close]);
        with(vec![], &[Out(prelogin(0x12, 0, b"")), step(message(kind, &noise)), Close]);
        with(vec![], &[Out(prelogin(0x12, 0, b"")), In(message(4, &noise)), step(noise.clone()), Close]);
        with(vec![], &[Out(login("a", "b")), In(message(4, &content)), Close]);
    }
}
