//! getaddrinfo: which name an address came from.

use super::{real, with_state};
use crate::conn::classify;
use agent_engine::exchange::Endpoint;
use libc::addrinfo;
use std::ffi::{CStr, c_char, c_int};

/// Addresses of one answer that are remembered.
const MOST: usize = 8;

/// Hook of `getaddrinfo`.
///
/// # Safety
/// The C contract of `getaddrinfo`.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    result: *mut *mut addrinfo,
) -> c_int {
    // SAFETY: the program's own call.
    let status = unsafe { real::getaddrinfo(node, service, hints, result) };
    if status == 0 && !node.is_null() {
        // SAFETY: the call succeeded, so `node` is a string and `result` points to a list.
        with_state(|state| unsafe { remember(&state.names, CStr::from_ptr(node), *result) });
    }
    status
}

unsafe fn remember(names: &crate::conn::resolver::Names, name: &CStr, list: *const addrinfo) {
    let mut found = [Endpoint::Unknown; MOST];
    let mut count = 0;
    let mut next = list;
    while !next.is_null() && count < MOST {
        // SAFETY: a node of the list that libc has just built.
        let entry = unsafe { &*next };
        next = entry.ai_next;
        if entry.ai_addr.is_null() {
            continue;
        }
        // SAFETY: libc says how long the address is.
        let address = unsafe {
            std::slice::from_raw_parts(entry.ai_addr.cast::<u8>(), entry.ai_addrlen as usize)
        };
        let endpoint = classify::endpoint(address);
        // One entry per socket type: the same address comes several times in a row.
        if endpoint != Endpoint::Unknown && !found[..count].contains(&endpoint) {
            found[count] = endpoint;
            count += 1;
        }
    }
    let numeric = name
        .to_bytes()
        .iter()
        .all(|b| b.is_ascii_digit() || b".:%".contains(b))
        || name.to_bytes().contains(&b':');
    if numeric {
        return;
    }
    for (i, endpoint) in found[..count].iter().enumerate() {
        names.remember(endpoint, name.to_bytes(), i + 1 < count);
    }
}
