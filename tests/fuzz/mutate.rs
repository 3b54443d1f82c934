//! Ways to break bytes: those that break parsers of length-prefixed binary formats, several at once.

use super::Case;

/// Splitmix64, from a seed and a number.
pub struct Random(u64);

impl Random {
    pub fn of(seed: u64, number: u64) -> Random {
        let mut random = Random(seed);
        Random(random.next() ^ number.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end` - 1.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }
}

/// Values at the edges of what lengths, counts, offsets and versions can be.
const EDGES: [i64; 22] = [
    0,
    1,
    2,
    3,
    -1,
    -2,
    7,
    8,
    127,
    128,
    255,
    256,
    32_767,
    32_768,
    65_535,
    1 << 20,
    0x7fff_ffff,
    0x8000_0000,
    -0x8000_0000,
    0xffff_ffff,
    i64::MAX,
    i64::MIN,
];

/// Longest input: what is found with longer ones is found with these.
pub const MAX_BYTES: usize = 16 * 1024;

/// One to six mutations; now and then none, so that a decoder's good path stays in the mix.
pub fn bytes(random: &mut Random, cases: &[Case], case: &mut Case) {
    for _ in 0..random.below(7) {
        one(random, cases, &mut case.bytes);
    }
    case.bytes.truncate(MAX_BYTES);
}

fn one(random: &mut Random, cases: &[Case], bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len() + 1);
    let here = at.min(bytes.len().saturating_sub(1));
    match random.below(12) {
        0 | 1 if !bytes.is_empty() => bytes[here] ^= 1 << random.below(8),
        2 | 3 if !bytes.is_empty() => bytes[here] = random.byte(),
        4 if !bytes.is_empty() => bytes[here] = bytes[here].wrapping_add(if random.one_in(2) { 1 } else { 255 }),
        5 => overwrite(bytes, at, &edge(random)),
        6 => {
            let edge = edge(random);
            bytes.splice(at..at, edge);
        }
        7 => bytes.truncate(at),
        8 => {
            let end = (at + random.below(16)).min(bytes.len());
            bytes.drain(at..end);
        }
        9 => {
            let end = (at + random.below(64)).min(bytes.len());
            let (to, part) = (random.below(bytes.len() + 1), bytes[at..end].to_vec());
            bytes.splice(to..to, part);
        }
        10 => {
            let other = &cases[random.below(cases.len())].bytes;
            let from = random.below(other.len() + 1);
            let end = (from + random.below(64)).min(other.len());
            bytes.splice(at..at, other[from..end].iter().copied());
        }
        _ => {
            let count = random.below(16);
            let extra: Vec<u8> = (0..count).map(|_| random.byte()).collect();
            bytes.splice(at..at, extra);
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    let count = with.len().min(bytes.len() - at);
    bytes[at..at + count].copy_from_slice(&with[..count]);
}

/// An edge value as a big-endian integer of some width, or as a variable-length one, plain or zigzag.
fn edge(random: &mut Random) -> Vec<u8> {
    let value = EDGES[random.below(EDGES.len())];
    match random.below(6) {
        0 => vec![value as u8],
        1 => (value as i16).to_be_bytes().to_vec(),
        2 => (value as i32).to_be_bytes().to_vec(),
        3 => value.to_be_bytes().to_vec(),
        4 => varint(value as u64),
        _ => varint(((value << 1) ^ (value >> 63)) as u64),
    }
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
