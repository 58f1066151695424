//! Whether code may be patched where the program will run.

use super::report::Finding;
use crate::sys;

/// `1` where SELinux refuses what its policy does not allow; absent without SELinux.
const SELINUX: &str = "/sys/fs/selinux/enforce";

/// What is known of the rules for a program's memory, as far as a program inherits them from here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Memory cannot be writable and executable at once.
    pub(crate) refused: bool,
    /// SELinux decides for each domain, and the program's domain can be another than doctor's.
    pub(crate) selinux: bool,
}

impl Policy {
    /// The rules for this process.
    pub(crate) fn here() -> Self {
        Self {
            refused: !sys::allows_writable_code(),
            selinux: std::fs::read(SELINUX).is_ok_and(|state| state.starts_with(b"1")),
        }
    }

    /// What to say of something that would be seen by patches.
    pub(crate) fn seen(self, what: &str) -> Finding {
        if self.refused {
            Finding::attention(
                format!(
                    "HTTPS not seen: {what}: here no memory may be writable and executable, so nothing can be patched"
                ),
                "a systemd unit: MemoryDenyWriteExecute=no; SELinux: allow execmem and execmod",
            )
        } else {
            Finding::good(format!("HTTPS seen: {what}"))
        }
    }

    /// What can make the report wrong.
    pub(crate) fn doubt(self) -> Option<Finding> {
        (self.selinux && !self.refused).then(|| {
            Finding::attention(
                "SELinux enforces: if it denies the program's domain execmem or execmod, HTTPS is not seen",
                "ausearch -m avc lists what was denied",
            )
        })
    }
}
