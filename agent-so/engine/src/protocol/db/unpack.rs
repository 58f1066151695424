//! What a database's protocol carries compressed, told to its machine.

use crate::protocol::Host;
use crate::protocol::wide::WideId;

/// What is made readable at once, bytes.
const PIECE: usize = 512;

/// Makes a part of what one side compresses readable, maybe the last part, and gives it to `read`, which says whether it wants more.
/// False: it is not compressed like that.
pub(super) fn unpack<H: Host>(
    wide: WideId,
    asks: bool,
    part: &[u8],
    is_last: bool,
    host: &mut H,
    mut read: impl FnMut(&[u8], &mut H) -> bool,
) -> bool {
    let (mut rest, mut piece) = (part, [0; PIECE]);
    loop {
        let inflate = &mut host.wide_mut(wide).inflate[usize::from(asks)];
        match inflate.read(rest, &mut piece) {
            None => return false,
            Some((0, 0)) => return !is_last || inflate.is_whole(),
            Some((used, made)) => {
                rest = &rest[used..];
                if !read(&piece[..made], host) {
                    return true;
                }
            }
        }
    }
}
