//! Names that are kept with a connection.

/// A name of at most `N` bytes, of a database most often. Empty: none is known, or it is longer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<const N: usize> {
    text: [u8; N],
    /// Saturating.
    len: u8,
}

impl<const N: usize> Default for Name<N> {
    fn default() -> Self {
        Self {
            text: [0; N],
            len: 0,
        }
    }
}

impl<const N: usize> Name<N> {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut name = Self::default();
        name.push(bytes);
        name
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(place) = self.text.get_mut(usize::from(self.len)) {
                *place = *byte;
            }
            self.len = self.len.saturating_add(1);
        }
    }

    pub(super) fn text(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_is_none() {
        assert_eq!(Name::<4>::default().text(), b"");
        let mut name = Name::<4>::of(b"abc");
        assert_eq!(name.text(), b"abc");
        name.push(b"d");
        assert_eq!(name.text(), b"abcd");
        name.push(b"e");
        assert_eq!(name.text(), b"");
        name.push(&[b'x'; 300]);
        assert_eq!(name.text(), b"");
    }
}
