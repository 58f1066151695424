//! What a thread or fiber of Ruby's does, and how that is noted.

use super::api::Value;
use super::{FIBERS, fixnum, ruby};
use crate::context::bridge::set;
use crate::export::record::Ref;
use crate::sys::thread::{self, INHERITED};
use std::sync::atomic::Ordering;

/// For whom a thread works, and whether it only inherited that.
#[derive(Clone, Copy, Default)]
pub(super) struct Work {
    pub(super) whom: Ref,
    pub(super) inherited: bool,
}

impl Work {
    /// As a small integer of Ruby's: 62 bits and the sign. A record that was used so often that it does not fit is nobody.
    pub(super) fn to_value(self) -> Value {
        let bits = self.whom.0 << 1 | u64::from(self.inherited);
        if self.whom.0 >> 60 == 0 {
            fixnum(bits)
        } else {
            fixnum(Ref::NOBODY.0 << 1)
        }
    }

    /// `None` where the value is not such an integer.
    pub(super) fn of_value(value: Value) -> Option<Self> {
        let bits = value as u64 >> 1;
        (value & 1 != 0).then_some(Self {
            whom: Ref(bits >> 1),
            inherited: bits & 1 != 0,
        })
    }

    pub(super) fn now() -> Self {
        let thread = thread::current();
        Self {
            whom: Ref(thread.current.get()),
            inherited: thread.has(INHERITED),
        }
    }

    /// It is what the calling thread does from here on.
    pub(super) fn begin(self) {
        set(self.whom);
        let thread = thread::current();
        if self.inherited {
            thread.set(INHERITED);
        } else {
            thread.clear(INHERITED);
        }
    }

    /// As [`Work::begin`], and whenever this fiber is switched to.
    pub(super) fn begin_in_fiber(self) {
        self.begin();
        if FIBERS.load(Ordering::Relaxed)
            && let Some(ruby) = ruby()
        {
            // SAFETY: a function of Ruby's called by Ruby, or an event: under its lock.
            unsafe { ruby.note((ruby.api.rb_fiber_current)(), self) };
        }
    }
}

pub(super) const NOBODY: Work = Work {
    whom: Ref::NOBODY,
    inherited: false,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_kept_in_a_small_integer() {
        let rows = [
            (0, false),
            (1 << 32, false),
            (7 << 32 | 3, true),
            (u64::from(u32::MAX), false),
        ];
        for (whom, inherited) in rows {
            let value = Work {
                whom: Ref(whom),
                inherited,
            }
            .to_value();
            let work = Work::of_value(value).unwrap();
            assert_eq!((work.whom.0, work.inherited), (whom, inherited));
        }
        let worn = Work {
            whom: Ref(u64::MAX),
            inherited: true,
        }
        .to_value();
        assert_eq!(Work::of_value(worn).unwrap().whom, Ref::NOBODY);
        assert!(Work::of_value(8).is_none(), "nil of 3.1");
        assert!(Work::of_value(4).is_none(), "nil of 3.2");
    }
}
