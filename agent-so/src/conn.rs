//! Connections: which descriptor belongs to which stream, and who may look at it.
//!
//! A stream socket gets a slot when the first bytes pass. The slot is shared by all descriptors that `dup` made of it
//! and lives until the last one is closed, or until nothing more is to be learned from its bytes. State is
//! cleared before the real close, because another thread may get the number at once. Sessions of TLS libraries have slots
//! too (`session`).

pub(crate) mod classify;
pub(crate) mod connect;
pub(crate) mod edit;
pub(crate) mod hello;
mod inward;
pub(crate) mod observe;
pub(crate) mod resolver;
pub(crate) mod rewrite;
pub(crate) mod scribe;
pub(crate) mod serving;
pub(crate) mod session;
pub(crate) mod slot;
pub(crate) mod statements;
pub(crate) mod stores;
mod stretch;
pub(crate) mod table;
pub(crate) mod wide;

use crate::export;
use crate::settings;
use crate::sys::process::State;
use crate::sys::raw;
use crate::sys::spin;
pub(crate) use slot::{At, Conn, Inner, Meta};
use slot::{DEAD, EDITING};
use std::sync::atomic::Ordering;

/// What carries a stream's bytes from and to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// Calls on a socket's descriptor.
    Socket(i32),
    /// Calls on an object of a TLS library, by its address.
    Session(usize),
}

/// The connection behind `fd`, given its table word; makes one for a stream socket seen for the first time. `None`:
/// nothing to observe.
pub(crate) fn of(state: &'static State, fd: i32, mut word: u32) -> Option<At> {
    if word == table::UNKNOWN {
        word = classify::classify(state, fd);
    }
    if word == table::FRESH {
        word = attach(state, fd)?;
    }
    let index = word.checked_sub(table::CONN)?;
    let conn = state.conns.get(index)?;
    if conn.hint(DEAD) && !conn.hint(EDITING) {
        if state.table.replace(fd, word, table::IGNORED) {
            release(state, fd, index, conn);
        }
        return None;
    }
    Some(At::new(state, Carrier::Socket(fd), index, conn))
}

fn attach(state: &'static State, fd: i32) -> Option<u32> {
    settings::say_warnings();
    let Some(index) = state.conns.take() else {
        state.counters.no_conn.fetch_add(1, Ordering::Relaxed);
        state.table.set(fd, table::IGNORED);
        return None;
    };
    let conn = state.conns.get(index)?;
    conn.begin(|meta| meta.cookie = raw::socket_cookie(fd));
    if state.table.replace(fd, table::FRESH, table::CONN + index) {
        return Some(table::CONN + index);
    }
    // Another thread attached it, or the program closed the descriptor.
    state.conns.give(index);
    Some(state.table.get(fd)).filter(|word| *word >= table::CONN)
}

/// The connection of requests to this process that a table word names, as records name it.
pub(crate) fn served(state: &'static State, word: u32) -> Option<usize> {
    let conn = state.conns.get(word.checked_sub(table::CONN)?)?;
    conn.hint(slot::SERVER).then(|| conn.name())
}

/// Marks a socket's connection from which nothing more is to be learned; its descriptors follow one by one.
fn bury(state: &'static State, fd: i32, index: u32, conn: &'static Conn) {
    // Not while a header is half out, and not when the slot has become another connection's meanwhile.
    if !conn.hint(EDITING) && state.table.replace(fd, table::CONN + index, table::IGNORED) {
        conn.set_hint(DEAD, true);
        release(state, fd, index, conn);
    }
}

/// One descriptor less; with the last one what is open is finished and the slot is free.
fn release(state: &'static State, fd: i32, index: u32, conn: &'static Conn) {
    if conn.fds.fetch_sub(1, Ordering::AcqRel) != 1 {
        return;
    }
    conn.finish(state, fd, spin::YIELDS);
    state.conns.give(index);
    export::poke(state);
}

/// Forgets what `fd` was, before it is closed or becomes something else. `value` is what it is from now on.
pub(crate) fn detach(state: &'static State, fd: i32, value: u32) {
    let word = state.table.get(fd);
    if word == value || (word > table::IGNORED && !state.is_ours()) {
        return;
    }
    match word {
        table::UNKNOWN | table::IGNORED | table::FRESH => {
            state.table.set(fd, value);
        }
        table::OWN => {
            crate::sys::log::lost(fd);
            state.table.set(fd, value);
        }
        _ => {
            let index = word - table::CONN;
            if state.table.replace(fd, word, value)
                && let Some(conn) = state.conns.get(index)
            {
                release(state, fd, index, conn);
            }
        }
    }
}

/// `new` now is the same socket as `old`.
pub(crate) fn share(state: &'static State, old: i32, new: i32) {
    let followed = |fd| state.table.get(fd) > table::IGNORED;
    if (followed(old) || followed(new)) && !state.is_ours() {
        // A child in our memory (clone) arranges descriptors of its own: ours stay what they are.
        return;
    }
    let word = state.table.get(old);
    if word >= table::CONN && state.table.get(new) == word {
        return;
    }
    let word = if word == table::OWN {
        table::UNKNOWN
    } else {
        word
    };
    if let Some(index) = word.checked_sub(table::CONN)
        && let Some(conn) = state.conns.get(index)
    {
        conn.fds.fetch_add(1, Ordering::AcqRel);
        detach(state, new, word);
        return;
    }
    // Two descriptors of a socket on which nothing passed yet must become one connection: attach it now.
    if word == table::FRESH
        && let Some(word) = attach(state, old)
        && let Some(conn) = state.conns.get(word - table::CONN)
    {
        conn.fds.fetch_add(1, Ordering::AcqRel);
        detach(state, new, word);
        return;
    }
    detach(state, new, word);
}

/// Finishes what is still open on every connection, when the process ends without closing them.
pub(crate) fn finish_all(state: &'static State) {
    for index in 0..state.conns.high_water() {
        let Some(conn) = state.conns.get(index) else {
            continue;
        };
        if conn.fds.load(Ordering::Acquire) == 0 {
            continue;
        }
        conn.finish(state, -1, 0);
    }
}
