//! Inline patches by Frida's Gum (docs/frida.md).
//!
//! Gum collects the replacements of a transaction and writes them at its end. It ends the process when the kernel refuses to
//! change memory, so that is asked first.

use super::{Backend, Refusal, may_write_code};
use frida_gum::interceptor::Interceptor;
use frida_gum::{Error, Gum, NativePointer};
use std::ffi::c_void;
use std::sync::OnceLock;

pub(crate) struct Frida;

/// A replacement of the open transaction; taken out of it again when dropped.
pub(crate) struct Scheduled {
    target: usize,
    original: *mut c_void,
}

impl Drop for Scheduled {
    fn drop(&mut self) {
        interceptor().revert(NativePointer(self.target as *mut c_void));
    }
}

fn interceptor() -> Interceptor {
    static GUM: OnceLock<Gum> = OnceLock::new();
    Interceptor::obtain(GUM.get_or_init(Gum::obtain))
}

impl Backend for Frida {
    /// Where no memory is free within reach, Gum writes an indirect jump and its target.
    const PATCH: usize = 16;
    type Prepared = Scheduled;

    fn begin() -> Result<(), Refusal> {
        may_write_code()?;
        interceptor().begin_transaction();
        Ok(())
    }

    unsafe fn prepare(target: usize, replacement: *const c_void) -> Result<Scheduled, Refusal> {
        let function = NativePointer(target as *mut c_void);
        let replacement = NativePointer(replacement.cast_mut());
        match interceptor().replace_fast(function, replacement) {
            Ok(original) => Ok(Scheduled {
                target,
                original: original.0,
            }),
            Err(Error::InterceptorAlreadyReplaced) => Err("it was replaced already"),
            Err(Error::InterceptorBadSignature) => Err("it cannot be moved"),
            Err(_) => Err("Gum refuses"),
        }
    }

    fn trampoline(prepared: &Scheduled) -> *mut c_void {
        prepared.original
    }

    unsafe fn enable(all: Vec<Scheduled>) -> Result<(), Refusal> {
        // They stay, and go live when the transaction ends.
        std::mem::forget(all);
        Ok(())
    }

    fn end() {
        interceptor().end_transaction();
    }
}
