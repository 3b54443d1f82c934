//! Keys and values: reproducible, and as compressible as asked.

use crate::random::Random;

/// A repeated text, which every codec finds.
const TEXT: &[u8] = b"{\"level\":\"info\",\"service\":\"orders\",\"message\":\"order accepted\",\"currency\":\"EUR\"}";
/// Random bytes and text alternate in runs of this many bytes, so that each record compresses about alike.
const RUN: usize = 128;

/// Fills a value: a share `compressible` (0 to 1) of it is repeated text, the rest random.
pub fn fill(value: &mut [u8], compressible: f64, random: &mut Random) {
    for run in value.chunks_mut(RUN) {
        let text = (run.len() as f64 * compressible).round() as usize;
        let (text, noise) = run.split_at_mut(text.min(run.len()));
        for (to, from) in text.iter_mut().zip(TEXT.iter().cycle()) {
            *to = *from;
        }
        random.fill(noise);
    }
}

/// The key number `number`, as bytes.
pub fn key(number: u64) -> Vec<u8> {
    format!("key-{number:08}").into_bytes()
}

/// The numbers of `keys` keys, by the partition that Kafka's clients would send each to.
pub fn keys_by_partition(keys: u64, partitions: usize) -> Vec<Vec<u64>> {
    let mut by_partition = vec![Vec::new(); partitions];
    for number in 0..keys {
        let hash = murmur2(&key(number)) & 0x7fff_ffff;
        by_partition[hash as usize % partitions].push(number);
    }
    by_partition
}

/// MurmurHash2 as Kafka's partitioner has it (seed 0x9747b28c).
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes(chunk.try_into().expect("four bytes")).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u32::from_le_bytes(last)).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;
    use flumen::record::{Codec, Compression, Compressor};

    #[test]
    fn murmur2_is_kafkas() {
        // From Kafka's own UtilsTest.
        for (text, hash) in [("21", -973_932_308i32), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536)] {
            assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
        }
        assert_eq!(murmur2("abc".as_bytes()) as i32, 479_470_107);
    }

    #[test]
    fn every_key_has_one_partition() {
        let by_partition = keys_by_partition(1_000, 16);
        assert_eq!(by_partition.iter().map(Vec::len).sum::<usize>(), 1_000);
        assert!(by_partition.iter().all(|keys| keys.len() > 20), "about evenly");
    }

    #[test]
    fn values_compress_as_asked() {
        let size_of = |compressible: f64| {
            let mut value = vec![0; 1 << 20];
            fill(&mut value, compressible, &mut Random::new(1));
            let mut zstd = Compressor::new(Compression::of(Codec::Zstd), Vec::new());
            zstd.write(&value);
            zstd.finish().len() as f64 / value.len() as f64
        };
        assert!((0.99..1.01).contains(&size_of(0.0)));
        assert!((0.45..0.6).contains(&size_of(0.5)));
        assert!(size_of(1.0) < 0.01);
    }
}
