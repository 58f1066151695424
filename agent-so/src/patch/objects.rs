//! The objects that are loaded, as the dynamic linker tells debuggers.
//!
//! `_r_debug` lists the objects of the base namespace and, since glibc 2.35, leads on to the other ones (dlmopen).

use std::ffi::{CStr, c_char};

/// `struct r_debug_extended` of glibc; `next` is there when the version is 2 or more.
#[repr(C)]
pub(super) struct Debug {
    version: i32,
    map: *const LinkMap,
    pub(super) brk: usize,
    state: i32,
    ldbase: usize,
    next: *const Debug,
}

/// `struct link_map`, its public part.
#[repr(C)]
struct LinkMap {
    addr: usize,
    name: *const c_char,
    ld: usize,
    next: *const LinkMap,
    prev: *const LinkMap,
}

/// `r_state` while a list is complete.
const CONSISTENT: i32 = 0;

/// A loaded object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Object {
    /// What to add to the addresses of its file.
    pub(super) bias: usize,
    /// Its dynamic section.
    pub(super) dynamic: usize,
}

/// The linker's list, with the name of each object: empty for the executable.
pub(super) struct Objects {
    debug: *const Debug,
    map: *const LinkMap,
}

/// The objects of all namespaces, or `None` while one of the lists is being changed: another announcement will come.
///
/// # Safety
/// `debug` must be the linker's `_r_debug`. No other thread may load or unload an object while the list is in use: the
/// caller is the linker's breakpoint or a constructor.
pub(super) unsafe fn all(debug: *const Debug) -> Option<Objects> {
    let mut at = debug;
    while !at.is_null() {
        // SAFETY: by the caller's promise a list head of the linker's, which stays for ever.
        unsafe {
            if (&raw const (*at).state).read_volatile() != CONSISTENT {
                return None;
            }
            at = next(at);
        }
    }
    // SAFETY: as above.
    let map = unsafe { debug.as_ref() }.map_or(std::ptr::null(), |d| d.map);
    Some(Objects { debug, map })
}

/// The next namespace's head.
///
/// # Safety
/// `debug` must be a list head of the linker's.
unsafe fn next(debug: *const Debug) -> *const Debug {
    // SAFETY: by the caller's promise; only from version 2 on the structure has its last field.
    unsafe {
        if (&raw const (*debug).version).read_volatile() >= 2 {
            (&raw const (*debug).next).read_volatile()
        } else {
            std::ptr::null()
        }
    }
}

impl Iterator for Objects {
    type Item = (Object, &'static CStr);

    fn next(&mut self) -> Option<Self::Item> {
        while self.map.is_null() {
            if self.debug.is_null() {
                return None;
            }
            // SAFETY: `all` was promised the linker's list, of which this is a head.
            unsafe {
                self.debug = next(self.debug);
                self.map = self.debug.as_ref()?.map;
            }
        }
        // SAFETY: an entry of the linker's list, which nobody changes meanwhile. (The name is said to live for ever, which it
        // does as long as the object; it is only printed at once.)
        let (map, name) = unsafe {
            let map = &*self.map;
            let name = if map.name.is_null() {
                c""
            } else {
                CStr::from_ptr(map.name)
            };
            (map, name)
        };
        self.map = map.next;
        let object = Object {
            bias: map.addr,
            dynamic: map.ld,
        };
        Some((object, name))
    }
}

/// A list head with nothing in it.
#[cfg(test)]
pub(super) fn empty() -> Debug {
    Debug {
        version: 1,
        map: std::ptr::null(),
        brk: 0,
        state: CONSISTENT,
        ldbase: 0,
        next: std::ptr::null(),
    }
}

/// What meeting an object says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// It was there before.
    Known,
    /// It was not.
    New,
    /// It may be new, but there is no room to remember it.
    NoRoom,
}

/// Most objects that are remembered.
const MOST: usize = 4096;

#[derive(Clone, Copy)]
struct Entry {
    object: Object,
    round: u32,
}

/// The objects met so far, so that each is looked at once. Zeros are the empty state: nothing is written before an
/// object is met.
pub(super) struct Known {
    entries: [Entry; MOST],
    len: usize,
    /// Where the next object is likely to be: the linker's order changes only at its end.
    likely: usize,
    round: u32,
}

impl Known {
    pub(super) const fn new() -> Self {
        let none = Entry {
            object: Object {
                bias: 0,
                dynamic: 0,
            },
            round: 0,
        };
        Known {
            entries: [none; MOST],
            len: 0,
            likely: 0,
            round: 0,
        }
    }

    /// Begins a round, in which every object that is loaded will be met.
    pub(super) fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
        self.likely = 0;
    }

    pub(super) fn meet(&mut self, object: Object) -> Meeting {
        let known = &mut self.entries[..self.len];
        let is = |entry: &Entry| entry.object == object;
        let at = if known.get(self.likely).is_some_and(is) {
            Some(self.likely)
        } else {
            known.iter().position(is)
        };
        let (at, meeting) = match at {
            Some(at) => (at, Meeting::Known),
            None if self.len < MOST => {
                self.len += 1;
                (self.len - 1, Meeting::New)
            }
            None => return Meeting::NoRoom,
        };
        self.entries[at] = Entry {
            object,
            round: self.round,
        };
        self.likely = at + 1;
        meeting
    }

    /// Ends a round: forgets the objects that were not met, and names them.
    pub(super) fn end(&mut self, mut gone: impl FnMut(Object)) {
        let mut kept = 0;
        for at in 0..self.len {
            let entry = self.entries[at];
            if entry.round == self.round {
                self.entries[kept] = entry;
                kept += 1;
            } else {
                gone(entry.object);
            }
        }
        self.len = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::real;

    fn object(n: usize) -> Object {
        Object {
            bias: n * 0x1000,
            dynamic: n * 0x1000 + 0x800,
        }
    }

    fn round(known: &mut Known, loaded: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let (mut new, mut gone) = (Vec::new(), Vec::new());
        known.begin();
        for &n in loaded {
            match known.meet(object(n)) {
                Meeting::New => new.push(n),
                Meeting::Known => {}
                Meeting::NoRoom => panic!("room for {MOST}"),
            }
        }
        known.end(|object| gone.push(object.bias / 0x1000));
        (new, gone)
    }

    #[test]
    fn each_object_is_new_once_until_it_is_gone() {
        let mut known = Box::new(Known::new());
        assert_eq!(round(&mut known, &[1, 2, 3]), (vec![1, 2, 3], vec![]));
        assert_eq!(round(&mut known, &[1, 2, 3]), (vec![], vec![]));
        // A second namespace's object, 9, follows; a new one of the first comes before it.
        assert_eq!(round(&mut known, &[1, 2, 3, 9]), (vec![9], vec![]));
        assert_eq!(round(&mut known, &[1, 3, 4, 9]), (vec![4], vec![2]));
        assert_eq!(round(&mut known, &[1, 2, 9]), (vec![2], vec![3, 4]));
        assert_eq!(round(&mut known, &[]), (vec![], vec![1, 9, 2]));
    }

    #[test]
    fn is_bounded() {
        let mut known = Box::new(Known::new());
        known.begin();
        for n in 0..MOST {
            assert_eq!(known.meet(object(n)), Meeting::New);
        }
        assert_eq!(known.meet(object(MOST)), Meeting::NoRoom);
        assert_eq!(known.meet(object(7)), Meeting::Known);
    }

    #[test]
    fn the_linkers_list_has_this_program_and_libc() {
        let debug = real::look_up(c"_r_debug");
        // SAFETY: the linker's own list; the tests load nothing.
        let all: Vec<_> = unsafe { all(debug.cast()) }.unwrap().collect();
        assert!(all[0].1.is_empty(), "the executable comes first");
        assert!(
            all.iter()
                .any(|(_, name)| name.to_bytes().ends_with(b"libc.so.6"))
        );
        assert!(all.iter().all(|(object, _)| object.dynamic != 0));
    }
}
