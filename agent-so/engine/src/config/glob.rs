//! The one pattern language of the configuration: `*` is any run of bytes (slashes too), `?` is any one byte,
//! everything else is itself.

/// Whether `pattern` covers the whole of `text`. No allocation, no recursion; time is at most the product of both
/// lengths.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to resume when the last star has to take one more byte.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, taken)) => {
                    star = Some((after, taken + 1));
                    p = after;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns() {
        let rows = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("/usr/bin/*", "/usr/bin/python3", true),
            ("/usr/bin/*", "/usr/sbin/nginx", false),
            ("python3.?", "python3.9", true),
            ("python3.?", "python3.11", false),
            ("*a*b", "xaybzab", true),
            ("*a*b", "xaybzabc", false),
            ("a*", "ba", false),
            ("**", "x", true),
            ("a?", "a", false),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_recursive_oracle(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            fn oracle(p: &[u8], t: &[u8]) -> bool {
                match (p.split_first(), t.split_first()) {
                    (None, None) => true,
                    (Some((b'*', rest)), _) => oracle(rest, t) || t.split_first().is_some_and(|(_, t)| oracle(p, t)),
                    (Some((c, p)), Some((d, t))) => (*c == b'?' || c == d) && oracle(p, t),
                    _ => false,
                }
            }
            prop_assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                oracle(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
