//! Secrets in query strings.

use memchr::memchr;

/// What stands in place of a secret.
pub const REDACTED: &str = "REDACTED";

/// The conventions' list: keys of signatures and credentials in pre-signed URLs. 1.42 to 1.44 lack
/// `AWSAccessKeyId` and `Signature`, which 1.45 restores.
pub const DEFAULT_SENSITIVE_KEYS: [&str; 7] = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
];

/// Replaces the values of sensitive query parameters. Keys match exactly, case included, as the conventions
/// have it; keys, order and all other parameters stay as they are.
#[derive(Clone, Debug)]
pub struct Redaction {
    keys: Vec<Box<str>>,
    /// Bit n: some key has n bytes (63: that many or more). Rules most parameters out without a comparison.
    lengths: u64,
}

impl Redaction {
    /// Redacts exactly these keys; none turns redaction off.
    pub fn new<S: AsRef<str>>(keys: impl IntoIterator<Item = S>) -> Self {
        let keys: Vec<Box<str>> = keys.into_iter().map(|k| k.as_ref().into()).collect();
        let lengths = keys
            .iter()
            .fold(0, |bits, key| bits | length_bit(key.len()));
        Self { keys, lengths }
    }

    /// Whether `query` can be shown as it is.
    pub fn is_clean(&self, query: &str) -> bool {
        !parameters(query).any(|(key, value)| value.is_some() && self.is_sensitive(key))
    }

    /// Appends `query` with the values of sensitive keys replaced.
    pub fn push(&self, query: &str, out: &mut String) {
        for (i, (key, value)) in parameters(query).enumerate() {
            if i > 0 {
                out.push('&');
            }
            out.push_str(key);
            if let Some(value) = value {
                out.push('=');
                out.push_str(if self.is_sensitive(key) {
                    REDACTED
                } else {
                    value
                });
            }
        }
    }

    fn is_sensitive(&self, key: &str) -> bool {
        self.lengths & length_bit(key.len()) != 0 && self.keys.iter().any(|k| **k == *key)
    }
}

impl Default for Redaction {
    fn default() -> Self {
        Self::new(DEFAULT_SENSITIVE_KEYS)
    }
}

fn length_bit(len: usize) -> u64 {
    1 << len.min(63)
}

/// Splits at `&`, then each piece at its first `=`. Joining gives the query again.
fn parameters(query: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = Some(query);
    std::iter::from_fn(move || {
        let text = rest?;
        let piece = match memchr(b'&', text.as_bytes()) {
            Some(at) => {
                rest = Some(&text[at + 1..]);
                &text[..at]
            }
            None => {
                rest = None;
                text
            }
        };
        Some(match memchr(b'=', piece.as_bytes()) {
            Some(at) => (&piece[..at], Some(&piece[at + 1..])),
            None => (piece, None),
        })
    })
}
