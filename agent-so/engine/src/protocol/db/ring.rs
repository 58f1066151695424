//! What waits for its answer on one connection, oldest first.

/// A ring of at most `N`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring<T, const N: usize> {
    entries: [T; N],
    first: u8,
    len: u8,
}

impl<T: Copy + Default, const N: usize> Default for Ring<T, N> {
    fn default() -> Self {
        Self {
            entries: [T::default(); N],
            first: 0,
            len: 0,
        }
    }
}

impl<T: Copy + Default, const N: usize> Ring<T, N> {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Adds the newest; false when there is no room.
    pub(super) fn push(&mut self, entry: T) -> bool {
        if self.len() == N {
            return false;
        }
        self.entries[self.place(self.len)] = entry;
        self.len += 1;
        true
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let entry = *self.oldest()?;
        self.first = self.place(1) as u8;
        self.len -= 1;
        Some(entry)
    }

    pub(super) fn oldest(&mut self) -> Option<&mut T> {
        (self.len > 0).then(|| &mut self.entries[usize::from(self.first)])
    }

    pub(super) fn newest(&mut self) -> Option<&mut T> {
        let last = self.place(self.len.checked_sub(1)?);
        Some(&mut self.entries[last])
    }

    /// The oldest one like that.
    pub(super) fn find(&mut self, wanted: impl Fn(&T) -> bool) -> Option<&mut T> {
        let at = (0..self.len)
            .map(|i| self.place(i))
            .find(|i| wanted(&self.entries[*i]))?;
        Some(&mut self.entries[at])
    }

    /// All of them, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = T> {
        (0..self.len).map(|i| self.entries[self.place(i)])
    }

    fn place(&self, i: u8) -> usize {
        (usize::from(self.first) + usize::from(i)) % N
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out_around_the_end() {
        let mut ring = Ring::<u32, 3>::default();
        assert_eq!(ring.pop(), None);
        for round in 0..5 {
            assert!(ring.is_empty());
            for i in 0..3 {
                assert!(ring.push(round * 10 + i));
            }
            assert!(!ring.push(99));
            assert_eq!(ring.newest(), Some(&mut (round * 10 + 2)));
            assert_eq!(ring.pop(), Some(round * 10));
            assert!(ring.push(7));
            assert_eq!(ring.len(), 3);
            let all: Vec<u32> = ring.iter().collect();
            assert_eq!(all, [round * 10 + 1, round * 10 + 2, 7]);
            assert_eq!(ring.find(|entry| *entry == 7), Some(&mut 7));
            assert_eq!(ring.find(|entry| *entry == round * 10), None);
            *ring.oldest().unwrap() += 1;
            assert_eq!(ring.pop(), Some(round * 10 + 2));
            assert_eq!((ring.pop(), ring.pop()), (Some(round * 10 + 2), Some(7)));
        }
    }
}
