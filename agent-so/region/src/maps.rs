//! The list of mappings, `/proc/self/maps`.

use crate::{Error, Protection, Region, Result, sys};

pub(crate) fn read() -> Result<Vec<Region>> {
    parse(&sys::contents(c"/proc/self/maps").map_err(Error::SystemCall)?)
}

fn parse(text: &[u8]) -> Result<Vec<Region>> {
    text.split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            region(line).ok_or_else(|| Error::ProcfsInput(String::from_utf8_lossy(line).into()))
        })
        .collect()
}

/// `start-end rwxp ...`
fn region(line: &[u8]) -> Option<Region> {
    let mut words = line.split(|&byte| byte == b' ');
    let mut ends = words.next()?.split(|&byte| byte == b'-');
    let (start, end) = (hex(ends.next()?)?, hex(ends.next()?)?);
    let flags = words.next()?.get(..3)?;
    let all = [libc::PROT_READ, libc::PROT_WRITE, libc::PROT_EXEC];
    let set = flags.iter().zip(all).filter(|&(&flag, _)| flag != b'-');
    Some(Region {
        start,
        end,
        protection: Protection(set.map(|(_, bit)| bit).sum()),
    })
}

fn hex(digits: &[u8]) -> Option<usize> {
    usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let text = b"00400000-00409000 r-xs 00000000 08:00 16088 /usr/bin/a file\n\
            7ffd1000-7ffd2000 rw-p 00000000 00:00 0\n\
            ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n";
        let all = parse(text).unwrap();
        let expected = [
            (0x40_0000, 0x40_9000, libc::PROT_READ | libc::PROT_EXEC),
            (0x7ffd_1000, 0x7ffd_2000, libc::PROT_READ | libc::PROT_WRITE),
            (
                0xffff_ffff_ff60_0000,
                0xffff_ffff_ff60_1000,
                libc::PROT_EXEC,
            ),
        ];
        for (region, (start, end, bits)) in all.iter().zip(expected) {
            assert_eq!(region.as_range(), start..end);
            assert_eq!(region.protection(), Protection(bits));
        }
        assert_eq!(all.len(), expected.len());
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for text in ["x", "1-2", "1 r-xp", "g-h r-xp ", "1-2 rx"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
