//! What lies between the agent and the machine: raw system calls, errno, the thread word, process-wide state that
//! a forked child finds empty, memory, clocks, own file descriptors and the log. Nothing here knows protocols.

pub(crate) mod clock;
pub(crate) mod errno;
pub(crate) mod heap;
pub(crate) mod log;
pub(crate) mod memory;
pub(crate) mod own_fd;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod region;
pub(crate) mod seqlock;
pub(crate) mod slab;
pub(crate) mod spin;
pub(crate) mod thread;
