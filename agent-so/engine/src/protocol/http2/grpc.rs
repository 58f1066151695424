//! What becomes of a call without `grpc-status`, and what `grpc-timeout` says. Statuses are those of gRPC plus one.

/// Error codes of RFC 9113 section 7.
pub(super) const NO_ERROR: u32 = 0;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;

const CANCELLED: u8 = 2;
const UNKNOWN: u8 = 3;
const DEADLINE_EXCEEDED: u8 = 5;
const PERMISSION_DENIED: u8 = 8;
const RESOURCE_EXHAUSTED: u8 = 9;
const UNIMPLEMENTED: u8 = 13;
const INTERNAL: u8 = 14;
pub(super) const UNAVAILABLE: u8 = 15;
const UNAUTHENTICATED: u8 = 17;

/// By gRPC's table for responses that no gRPC server made (`http-grpc-status-mapping.md`).
pub(super) fn of_http(status: u16) -> u8 {
    match status {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// By gRPC's table for streams that were reset (`PROTOCOL-HTTP2.md`). `due`: a client that resets does so because the time
/// is up.
pub(super) fn of_reset(code: u32, due: bool) -> u8 {
    match code {
        CANCEL if due => DEADLINE_EXCEEDED,
        CANCEL => CANCELLED,
        REFUSED_STREAM => UNAVAILABLE,
        11 => RESOURCE_EXHAUSTED,
        12 => PERMISSION_DENIED,
        5 => UNKNOWN,
        _ => INTERNAL,
    }
}

/// Whether a call's time is up. Clients count from before the request is written, which the first one of a connection waits
/// for, and round what they write up by as much as one in a hundred.
pub(super) fn is_due(deadline_ns: u64, start_ns: u64, now: u64) -> bool {
    let timeout = deadline_ns - start_ns;
    now >= deadline_ns - timeout / 50 - (timeout / 4).min(300_000_000)
}

/// The value of `grpc-status`. A number that is no status counts as UNKNOWN; 0 for what is no number.
pub(super) fn status(value: &[u8]) -> u8 {
    match std::str::from_utf8(value).map(str::parse::<u32>) {
        Ok(Ok(code @ 0..=16)) => code as u8 + 1,
        Ok(Ok(_)) => UNKNOWN,
        _ => 0,
    }
}

/// The value of `grpc-timeout` in nanoseconds; 0 for what is none.
pub(super) fn timeout(value: &[u8]) -> u64 {
    let Some((unit, digits)) = value.split_last() else {
        return 0;
    };
    let unit: u64 = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return 0,
    };
    match std::str::from_utf8(digits).map(str::parse::<u64>) {
        Ok(Ok(number)) if digits.len() <= 8 => number.saturating_mul(unit),
        _ => 0,
    }
}

/// Whether the value of `content-type` is that of a call. gRPC-Web is not: its status is in the body.
pub(super) fn is_content_type(value: &[u8]) -> bool {
    const TYPE: &[u8] = b"application/grpc";
    match value.split_at_checked(TYPE.len()) {
        Some((start, rest)) => {
            start.eq_ignore_ascii_case(TYPE) && matches!(rest.first(), None | Some(b'+' | b';'))
        }
        None => false,
    }
}
