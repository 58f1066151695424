//! `libagent.so`: loaded by `LD_PRELOAD` into any program. Hooks see the bytes of its sockets, the engine makes
//! exchanges of them, the exporter makes spans of those. See DESIGN.md.

#![cfg_attr(
    test,
    allow(
        dead_code,
        reason = "hooks are not exported into the test program, so what only they use is unused there"
    )
)]

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
compile_error!("libagent.so is for x86-64 Linux with glibc: see docs/coverage.md");

mod conn;
mod context;
mod export;
mod hooks;
mod load;
mod patch;
mod settings;
mod sys;
