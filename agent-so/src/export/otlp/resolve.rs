//! Name resolution on the exporter's own thread, remembered across forks.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long resolved addresses are used without asking again.
const FRESH: Duration = Duration::from_secs(60);

/// The last resolved destination. It outlives the exporter (keep it in a `static`): a forked child uses the
/// addresses that its parent found, because the resolver can block for ever in a child that was forked
/// while another thread was inside it.
///
/// The lock is only ever tried: whoever held it when the process forked will never release it in the child.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    last: Mutex<Option<Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
    resolved: Instant,
    /// The process that resolved it.
    process: u32,
    /// None of the addresses could be connected to: ask again, but keep them in case nobody answers.
    failed: bool,
}

impl Addresses {
    /// Nothing resolved yet.
    pub(crate) const fn new() -> Self {
        Self {
            last: Mutex::new(None),
        }
    }

    /// The addresses of `host` (a name, or an IP address without brackets). Blocks in the resolver when
    /// nothing usable is remembered; no deadline applies to that.
    pub(super) fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let resolve = || (host, port).to_socket_addrs().map(Vec::from_iter);
        self.lookup_with(host, port, Instant::now(), std::process::id(), resolve)
    }

    /// Tells that no address of the last destination could be connected to.
    pub(super) fn failed(&self) {
        if let Ok(mut last) = self.last.try_lock()
            && let Some(entry) = last.as_mut()
        {
            entry.failed = true;
        }
    }

    fn lookup_with(
        &self,
        host: &str,
        port: u16,
        now: Instant,
        process: u32,
        resolve: impl FnOnce() -> io::Result<Vec<SocketAddr>>,
    ) -> io::Result<Vec<SocketAddr>> {
        let known = self.last.try_lock().ok().and_then(|last| last.clone());
        let known = known.filter(|entry| entry.host == host && entry.port == port);
        if let Some(entry) = &known
            && !entry.failed
            && (entry.process != process || now.saturating_duration_since(entry.resolved) < FRESH)
        {
            return Ok(entry.addresses.clone());
        }
        match (resolve(), known) {
            (Ok(addresses), _) if !addresses.is_empty() => {
                if let Ok(mut last) = self.last.try_lock() {
                    let new = Some(Entry {
                        host: host.to_owned(),
                        port,
                        addresses: addresses.clone(),
                        resolved: now,
                        process,
                        failed: false,
                    });
                    let old = std::mem::replace(&mut *last, new);
                    if old.as_ref().is_some_and(|old| old.process != process) {
                        // It stands in the heap of the process that this one was forked from.
                        std::mem::forget(old);
                    }
                }
                Ok(addresses)
            }
            // What was right a while ago is better than nothing.
            (_, Some(entry)) => Ok(entry.addresses),
            (Ok(_), None) => Err(io::Error::new(io::ErrorKind::NotFound, "no address")),
            (Err(error), None) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 4] = [192, 0, 2, 1];
    const B: [u8; 4] = [192, 0, 2, 2];

    fn ask(
        cache: &Addresses,
        now: Instant,
        process: u32,
        answer: Option<[u8; 4]>,
    ) -> (Option<[u8; 4]>, bool) {
        let mut asked = false;
        let found = cache.lookup_with("collector", 4317, now, process, || {
            asked = true;
            let ip = answer.ok_or_else(|| io::Error::other("no answer"))?;
            Ok(vec![SocketAddr::from((ip, 4317))])
        });
        let ip = found.ok().and_then(|found| match found[0].ip() {
            IpAddr::V4(ip) => Some(ip.octets()),
            IpAddr::V6(_) => None,
        });
        (ip, asked)
    }

    #[test]
    fn a_name_is_resolved_once_a_minute() {
        let (cache, start) = (Addresses::new(), Instant::now());
        assert_eq!(ask(&cache, start, 1, Some(A)), (Some(A), true));
        assert_eq!(
            ask(&cache, start + Duration::from_secs(59), 1, Some(B)),
            (Some(A), false)
        );
        assert_eq!(
            ask(&cache, start + Duration::from_secs(61), 1, Some(B)),
            (Some(B), true)
        );
    }

    #[test]
    fn a_forked_child_uses_what_its_parent_found_however_old() {
        let (cache, start) = (Addresses::new(), Instant::now());
        assert_eq!(ask(&cache, start, 1, Some(A)), (Some(A), true));
        let later = start + Duration::from_secs(3600);
        assert_eq!(ask(&cache, later, 2, Some(B)), (Some(A), false));
        cache.failed();
        assert_eq!(
            ask(&cache, later, 2, Some(B)),
            (Some(B), true),
            "it moved: ask"
        );
    }

    #[test]
    fn an_old_answer_is_better_than_none() {
        let (cache, start) = (Addresses::new(), Instant::now());
        assert_eq!(ask(&cache, start, 1, None), (None, true));
        assert_eq!(ask(&cache, start, 1, Some(A)), (Some(A), true));
        cache.failed();
        assert_eq!(ask(&cache, start, 1, None), (Some(A), true));
    }

    #[test]
    fn a_lock_held_at_fork_time_is_not_waited_for() {
        let (cache, start) = (Addresses::new(), Instant::now());
        let _held_by_a_thread_that_is_gone = cache.last.lock().unwrap();
        assert_eq!(ask(&cache, start, 2, Some(A)), (Some(A), true));
        cache.failed();
    }

    #[test]
    fn an_ip_address_needs_no_resolver() {
        let cache = Addresses::new();
        assert_eq!(
            cache.lookup("::1", 1).unwrap(),
            vec![SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 1))]
        );
        assert!(cache.last.lock().unwrap().is_none());
    }
}
