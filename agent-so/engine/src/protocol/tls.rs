//! TLS on a stream (RFC 8446, RFC 5246): its bytes say nothing, except for the client's first message, whose 32 random
//! bytes name the connection. The TLS library tells the same number of its session, so the two are brought together
//! whoever carries the records: the library itself, a BIO of the program's, or an event loop.

/// Bytes of a connection up to the end of the client's random: record header (5), handshake header (4), version (2), random.
pub(super) const PREFIX_MAX: usize = 43;
/// Where the random begins.
const RANDOM: usize = 11;

/// What the first bytes of one direction are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hello {
    /// No byte yet.
    Silence,
    /// No TLS, or not from the beginning.
    No,
    /// It may turn out to be.
    More,
    /// The server's answer to one: TLS, whose hello went the other way, and may be told later (another thread may read the
    /// answer before the write of the hello has returned).
    Answer,
    /// TLS; the random where it stands whole in the first record.
    Yes(Option<[u8; 32]>),
}

/// Judges the first bytes of one direction (at most [`PREFIX_MAX`] are looked at).
pub(super) fn hello(prefix: &[u8]) -> Hello {
    if prefix.is_empty() {
        return Hello::Silence;
    }
    // Record: handshake, version 3.0 to 3.4, length; handshake: client hello or server hello.
    let fixed = [
        |b: u8| b == 0x16,
        |b: u8| b == 3,
        |b: u8| b <= 4,
        |_: u8| true,
        |_: u8| true,
        |b: u8| matches!(b, 1 | 2),
    ];
    if !prefix.iter().zip(fixed).all(|(byte, fits)| fits(*byte)) {
        return Hello::No;
    }
    let Some(head) = prefix.first_chunk::<6>() else {
        return Hello::More;
    };
    if head[5] == 2 {
        return Hello::Answer;
    }
    let record = 5 + usize::from(u16::from_be_bytes([head[3], head[4]]));
    if record < PREFIX_MAX {
        // Cut into tiny records: TLS all the same, but without a name.
        return Hello::Yes(None);
    }
    // The first byte of its length.
    if prefix.get(6).is_some_and(|b| *b != 0) {
        return Hello::No;
    }
    match prefix.get(RANDOM..PREFIX_MAX) {
        Some(random) => Hello::Yes(random.try_into().ok()),
        None => Hello::More,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_hello() -> Vec<u8> {
        let mut bytes = vec![0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
        bytes.extend(0..32);
        bytes.extend([0; 100]);
        bytes
    }

    #[test]
    fn the_random_is_found_once_it_is_whole() {
        let bytes = client_hello();
        let random: [u8; 32] = std::array::from_fn(|i| i as u8);
        for len in 0..bytes.len() {
            let wanted = if len == 0 {
                Hello::Silence
            } else if len < PREFIX_MAX {
                Hello::More
            } else {
                Hello::Yes(Some(random))
            };
            assert_eq!(hello(&bytes[..len]), wanted, "{len}");
        }
    }

    #[test]
    fn what_is_no_client_hello_is_told_at_its_first_wrong_byte() {
        for (at, value) in [(0, 0x17), (1, 2), (2, 5), (5, 3), (6, 1)] {
            let mut bytes = client_hello();
            bytes[at] = value;
            assert_eq!(hello(&bytes[..=at]), Hello::No, "byte {at}");
            assert_eq!(hello(&bytes), Hello::No, "byte {at}");
        }
        assert_eq!(hello(b"GET / HTTP/1.1\r\n"), Hello::No);
    }

    #[test]
    fn the_servers_answer_is_told() {
        let mut bytes = client_hello();
        bytes[5] = 2;
        for len in 1..6 {
            assert_eq!(hello(&bytes[..len]), Hello::More, "{len}");
        }
        assert_eq!(hello(&bytes[..6]), Hello::Answer);
        assert_eq!(hello(&bytes), Hello::Answer);
    }

    #[test]
    fn a_hello_in_tiny_records_has_no_name() {
        let mut bytes = client_hello();
        bytes[4] = 37;
        assert_eq!(hello(&bytes), Hello::Yes(None));
        // What was said of the first bytes holds with more of them.
        bytes[6] = 0x16;
        assert_eq!(hello(&bytes[..6]), Hello::Yes(None));
        assert_eq!(hello(&bytes), Hello::Yes(None));
        bytes[6] = 0;
        bytes[4] = 38;
        assert!(matches!(hello(&bytes), Hello::Yes(Some(_))));
    }
}
