use super::*;
use proptest::prelude::*;

/// `tests/Sample.java`, compiled by `scripts/java-bridge`. What the JVM makes of changed classes is seen in
/// tests/test_parents_java.py, where it verifies all that the bridge changes.
const SAMPLE: &[u8] = include_bytes!("tests/Sample.class");
const HELPER: &str = "some/Helper";

const fn rule(method: &'static str, change: Change) -> Rule {
    Rule {
        method,
        descriptor: "",
        change,
    }
}

const TELL: Change = Change::Tell {
    name: "tell",
    argument: Argument::Of("Ljava/lang/"),
};
const DELEGATE: Change = Change::Delegate {
    guard: "guard",
    name: "other",
};
const REPLACE: Change = Change::Replace {
    call: Call {
        class: "java/lang/Runnable",
        name: "run",
        descriptor: "()V",
    },
    name: "run",
    descriptor: "(Ljava/lang/Runnable;)V",
};

/// The content of a method's `Code` attribute.
fn code(file: &[u8], method: &str) -> Vec<u8> {
    let mut reader = Reader::new(file);
    reader.take(8).unwrap();
    let pool = Pool::read(&mut reader).unwrap();
    reader.take(6).unwrap();
    let interfaces = reader.u16().unwrap();
    reader.take(usize::from(interfaces) * 2).unwrap();
    for _ in 0..reader.u16().unwrap() {
        reader.take(6).unwrap();
        skip_attributes(&mut reader).unwrap();
    }
    for _ in 0..reader.u16().unwrap() {
        reader.take(2).unwrap();
        let name = reader.u16().unwrap();
        reader.take(2).unwrap();
        for _ in 0..reader.u16().unwrap() {
            let attribute = reader.u16().unwrap();
            let len = reader.u32().unwrap();
            let content = reader.take(len as usize).unwrap();
            if pool.utf8(name) == Some(method.as_bytes()) && pool.utf8(attribute) == Some(b"Code") {
                return content.to_vec();
            }
        }
    }
    panic!("no code of {method}");
}

/// The instructions alone.
fn instructions(file: &[u8], method: &str) -> Vec<u8> {
    let code = code(file, method);
    let len = u32::from_be_bytes(code[4..8].try_into().unwrap()) as usize;
    code[8..8 + len].to_vec()
}

fn opcodes(code: &[u8]) -> Vec<u8> {
    instructions::each(code).map(|one| one.unwrap().1).collect()
}

fn changed(rules: &[Rule]) -> (Vec<u8>, Vec<usize>) {
    change(SAMPLE, HELPER, rules).unwrap()
}

#[test]
fn a_call_at_entry_is_followed_by_the_method_as_it_was() {
    for (change, front) in [
        (TELL, &[0, 0, 0, 0x19, 0xb8][..]),
        (Change::Notify { name: "note" }, &[0, 0xb8]),
        (
            Change::Tell {
                name: "tell",
                argument: Argument::This,
            },
            &[0, 0, 0, 0x19, 0xb8],
        ),
    ] {
        let (file, applied) = changed(&[rule("both", change)]);
        assert_eq!(applied, [1]);
        let (old, new) = (instructions(SAMPLE, "both"), instructions(&file, "both"));
        let added = new.len() - old.len();
        assert_eq!(added % 4, 0);
        assert_eq!(new[added..], old);
        assert_eq!(opcodes(&new[..added]), front);
        assert_eq!(code(&file, "loop"), code(SAMPLE, "loop"));
    }
    let (file, _) = changed(&[rule("both", TELL)]);
    assert_eq!(
        instructions(&file, "both")[3..5],
        [0x19, 2],
        "the second parameter is told"
    );
}

#[test]
fn a_helper_is_told_numbers_as_they_are_and_may_change_one() {
    const BOTH: Change = Change::TellBoth {
        name: "both",
        arguments: [Argument::Of("Ljava/lang/"), Argument::Of("I")],
    };
    const SET: Change = Change::Set {
        name: "set",
        argument: Argument::This,
        parameter: "I",
    };
    let told: &[u8] = &[0x19, 2, 0x15, 1, 0xb8];
    let set: &[u8] = &[0x19, 0, 0x15, 1, 0xb8];
    for (change, descriptor, front, end) in [
        (BOTH, &b"(Ljava/lang/Object;I)V"[..], told, &[][..]),
        (SET, b"(Ljava/lang/Object;I)I", set, &[0x36, 1]),
    ] {
        let (file, applied) = changed(&[rule("both", change)]);
        assert_eq!(applied, [1]);
        assert!(memchr::memmem::find(&file, descriptor).is_some());
        let (old, new) = (instructions(SAMPLE, "both"), instructions(&file, "both"));
        let added = new.len() - old.len();
        assert_eq!(new[added..], old);
        let added: Vec<u8> = new[..added]
            .iter()
            .copied()
            .skip_while(|o| *o == 0)
            .collect();
        assert_eq!((&added[..5], &added[7..]), (front, end));
    }
    // A method without such a parameter is left as it is.
    assert!(change(SAMPLE, HELPER, &[rule("loop", BOTH), rule("loop", SET)]).is_none());
}

#[test]
fn a_method_that_stands_in_gets_all_arguments_and_returns() {
    let (file, applied) = changed(&[rule("both", DELEGATE)]);
    assert_eq!(applied, [1]);
    let (old, new) = (instructions(SAMPLE, "both"), instructions(&file, "both"));
    let added = new.len() - old.len();
    assert_eq!(new[added..], old);
    // guard(this), branch, this, int, object, array, other(..), lreturn: nothing may follow that
    let front = [0x19, 0xb8, 0x99, 0x19, 0x15, 0x19, 0x19, 0xb8, 0xad];
    let all = opcodes(&new[..added]);
    assert!(all.ends_with(&front), "{all:x?}");
    assert!(all[..all.len() - front.len()].iter().all(|o| *o == 0));
    let at = new.iter().position(|o| *o == 0x99).unwrap();
    let branch = usize::from(u16::from_be_bytes([new[at + 1], new[at + 2]]));
    assert_eq!(
        at + branch,
        added,
        "it leads to the first instruction of old"
    );
}

#[test]
fn calls_are_replaced_in_place() {
    let (file, applied) = changed(&[rule("both", REPLACE)]);
    assert_eq!(applied, [1]);
    let (old, new) = (instructions(SAMPLE, "both"), instructions(&file, "both"));
    assert_eq!(old.len(), new.len());
    let count = |code: &[u8], opcode| opcodes(code).iter().filter(|o| **o == opcode).count();
    assert_eq!(count(&old, 0xb9), 2);
    assert_eq!(count(&new, 0xb9), 0);
    assert_eq!(count(&new, 0xb8), count(&old, 0xb8) + 2);
}

#[test]
fn a_frame_at_the_first_instruction_serves_the_branch() {
    // `loop` begins with a loop's head; without frames (`nothing`) one is made.
    for method in ["loop", "both"] {
        let (file, _) = changed(&[rule(method, DELEGATE)]);
        let map = |file| frames(&code(file, method), file);
        let (old, new) = (map(SAMPLE), map(&file));
        let added = (instructions(&file, method).len() - instructions(SAMPLE, method).len()) as u16;
        let mut wanted: Vec<u16> = old.iter().map(|at| at + added).collect();
        if old[0] > 0 {
            wanted.insert(0, added);
        }
        assert_eq!(new, wanted, "{method}");
    }
}

/// Offsets of the frames.
fn frames(code: &[u8], file: &[u8]) -> Vec<u16> {
    let mut reader = Reader::new(file);
    reader.take(8).unwrap();
    let pool = Pool::read(&mut reader).unwrap();
    let mut reader = Reader::new(code);
    reader.take(4).unwrap();
    let len = reader.u32().unwrap();
    reader.take(len as usize).unwrap();
    let handlers = reader.u16().unwrap();
    reader.take(usize::from(handlers) * 8).unwrap();
    for _ in 0..reader.u16().unwrap() {
        let name = reader.u16().unwrap();
        let len = reader.u32().unwrap();
        let content = reader.take(len as usize).unwrap();
        if pool.utf8(name) == Some(b"StackMapTable") {
            return offsets(content);
        }
    }
    Vec::new()
}

fn offsets(content: &[u8]) -> Vec<u16> {
    let mut reader = Reader::new(content);
    let mut found: Vec<u16> = Vec::new();
    for _ in 0..reader.u16().unwrap() {
        let kind = reader.u8().unwrap();
        let delta = match kind {
            0..=63 => u16::from(kind),
            64..=127 => u16::from(kind - 64),
            _ => reader.u16().unwrap(),
        };
        let types = match kind {
            64..=127 | 247 => 1,
            252..=254 => u16::from(kind - 251),
            _ => 0,
        };
        let full = if kind == 255 { 2 } else { 1 };
        for turn in 0..full {
            let types = if kind == 255 {
                reader.u16().unwrap()
            } else {
                types
            };
            assert!(turn < 2);
            for _ in 0..types {
                if matches!(reader.u8().unwrap(), 7 | 8) {
                    reader.u16().unwrap();
                }
            }
        }
        found.push(found.last().map_or(delta, |last| last + delta + 1));
    }
    assert!(reader.is_empty());
    found
}

#[test]
fn what_does_not_fit_is_left_alone() {
    assert_eq!(change(SAMPLE, HELPER, &[rule("none", TELL)]), None);
    assert_eq!(change(SAMPLE, HELPER, &[rule("absent", TELL)]), None);
    assert_eq!(change(SAMPLE, HELPER, &[rule("loop", REPLACE)]), None);
    let this = Change::Tell {
        name: "tell",
        argument: Argument::This,
    };
    assert_eq!(
        change(SAMPLE, HELPER, &[rule("nothing", this)]),
        None,
        "static"
    );
    let (_, applied) = changed(&[rule("absent", TELL), rule("nothing", TELL)]);
    assert_eq!(applied, [0, 1]);
    for len in 0..SAMPLE.len() {
        assert_eq!(change(&SAMPLE[..len], HELPER, &[rule("both", TELL)]), None);
    }
}

#[test]
fn a_class_can_be_changed_again() {
    let (once, _) = changed(&[rule("both", DELEGATE)]);
    let (twice, applied) =
        change(&once, HELPER, &[rule("both", TELL), rule("both", REPLACE)]).unwrap();
    assert_eq!(applied, [1, 1]);
    assert!(instructions(&twice, "both").ends_with(&opcodes_tail()));
}

/// The last instructions of `both`, which nothing changes.
fn opcodes_tail() -> Vec<u8> {
    let all = instructions(SAMPLE, "both");
    all[all.len() - 4..].to_vec()
}

proptest! {
    #[test]
    fn nothing_panics(at in 0..SAMPLE.len(), value: u8, cut in 0..SAMPLE.len()) {
        let mut file = SAMPLE.to_vec();
        file[at] = value;
        for change_ in [TELL, DELEGATE, REPLACE] {
            let rules = [rule("both", change_), rule("loop", change_)];
            let _ = change(&file, HELPER, &rules);
            let _ = change(&file[..cut], HELPER, &rules);
        }
    }
}
