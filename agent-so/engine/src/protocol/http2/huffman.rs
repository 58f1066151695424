//! The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B), read as it comes.

/// Lengths of the codes of all bytes, bits. The code is canonical: these lengths are all there is to it.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
/// Length of the code of the end-of-string symbol, which no string may contain.
const EOS_LENGTH: u8 = 30;
const EOS: u16 = 256;

/// What four bits do in an inner node of the code's tree. No code is shorter than five bits, so they complete at most one.
#[derive(Clone, Copy)]
struct Step {
    next: u8,
    emits: bool,
    fails: bool,
    symbol: u8,
}

/// Inner nodes: one less than leaves.
const NODES: usize = 256;
/// Marks a leaf among the children of [`tree`].
const LEAF: u16 = 1 << 15;

/// The inner nodes with their two children: a node, or a leaf with its symbol.
const fn tree() -> [[u16; 2]; NODES] {
    let mut nodes = [[0; 2]; NODES];
    let mut used = 1;
    let mut code: u32 = 0;
    let mut length: u8 = 5;
    while length <= EOS_LENGTH {
        let mut symbol: u16 = 0;
        while symbol <= EOS {
            let own = if symbol == EOS {
                EOS_LENGTH
            } else {
                LENGTHS[symbol as usize]
            };
            if own == length {
                let mut node = 0;
                let mut bit = length;
                while bit > 1 {
                    bit -= 1;
                    let side = (code >> bit & 1) as usize;
                    if nodes[node][side] == 0 {
                        nodes[node][side] = used;
                        used += 1;
                    }
                    node = nodes[node][side] as usize;
                }
                nodes[node][(code & 1) as usize] = LEAF | symbol;
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    nodes
}

static STEPS: [[Step; 16]; NODES] = {
    let nodes = tree();
    let none = Step {
        next: 0,
        emits: false,
        fails: false,
        symbol: 0,
    };
    let mut steps = [[none; 16]; NODES];
    let mut from = 0;
    while from < NODES {
        let mut bits = 0;
        while bits < 16 {
            let mut step = none;
            let mut node = from;
            let mut bit = 4;
            while bit > 0 {
                bit -= 1;
                let child = nodes[node][bits >> bit & 1];
                if child & LEAF == 0 {
                    node = child as usize;
                } else {
                    step.fails |= child == LEAF | EOS;
                    step.emits = true;
                    step.symbol = child as u8;
                    node = 0;
                }
            }
            step.next = node as u8;
            steps[from][bits] = step;
            bits += 1;
        }
        from += 1;
    }
    steps
};

/// Whether a string may end in a node: after at most seven bits, all ones.
static ENDS: [bool; NODES] = {
    let nodes = tree();
    let mut ends = [false; NODES];
    let (mut node, mut bits) = (0, 0);
    while bits < 8 {
        ends[node] = true;
        node = nodes[node][1] as usize;
        bits += 1;
    }
    ends
};

/// Where in the code a string's bytes stand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Huffman {
    node: u8,
}

impl Huffman {
    /// Decodes from `bytes` into `out` until one of them is used up; gives how many bytes of each were. `None`: the string
    /// contains the end-of-string symbol.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut [u8]) -> Option<(usize, usize)> {
        let mut written = 0;
        for (used, byte) in bytes.iter().enumerate() {
            if out.len() - written < 2 {
                return Some((used, written));
            }
            for bits in [byte >> 4, byte & 15] {
                let step = STEPS[usize::from(self.node)][usize::from(bits)];
                if step.fails {
                    return None;
                }
                if step.emits {
                    out[written] = step.symbol;
                    written += 1;
                }
                self.node = step.next;
            }
        }
        Some((bytes.len(), written))
    }

    /// Whether the string may end here. The next one begins afresh.
    pub(super) fn end(&mut self) -> bool {
        ENDS[usize::from(std::mem::take(&mut self.node))]
    }
}
