//! `libagent.so`: loaded by `LD_PRELOAD` into any program; see DESIGN.md.

pub mod export;
