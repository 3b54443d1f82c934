//! Variable-length integers of Kafka's record format: base 128, least significant group first; signed values are zigzag
//! encoded. At most 5 bytes for 32 bits and 10 for 64; a longer run is malformed, whatever follows.

/// Longest encoding of a 32-bit value.
pub const MAX_VARINT_BYTES: usize = 5;
/// Longest encoding of a 64-bit value.
pub const MAX_VARLONG_BYTES: usize = 10;

/// The value goes on past the end of the buffer, or past its longest legal encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VarintError {
    /// The buffer ends inside the value; more bytes may complete it.
    #[error("the buffer ends inside a variable-length integer")]
    Incomplete,
    /// No value of this width is that long.
    #[error("a variable-length integer is longer than its type allows")]
    TooLong,
}

/// Reads an unsigned 32-bit varint at `*position` and moves past it; on an error `*position` is unchanged.
#[inline]
pub fn read_unsigned_varint(buffer: &[u8], position: &mut usize) -> Result<u32, VarintError> {
    let rest = buffer.get(*position..).unwrap_or_default();
    if let Some(&byte) = rest.first()
        && byte < 0x80
    {
        *position += 1;
        return Ok(u32::from(byte));
    }
    let mut value = 0u32;
    for (index, &byte) in rest.iter().take(MAX_VARINT_BYTES).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *position += index + 1;
            return Ok(value);
        }
    }
    Err(if rest.len() < MAX_VARINT_BYTES { VarintError::Incomplete } else { VarintError::TooLong })
}

/// Reads an unsigned 64-bit varint at `*position` and moves past it; on an error `*position` is unchanged.
#[inline]
pub fn read_unsigned_varlong(buffer: &[u8], position: &mut usize) -> Result<u64, VarintError> {
    let rest = buffer.get(*position..).unwrap_or_default();
    let mut value = 0u64;
    for (index, &byte) in rest.iter().take(MAX_VARLONG_BYTES).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *position += index + 1;
            return Ok(value);
        }
    }
    Err(if rest.len() < MAX_VARLONG_BYTES { VarintError::Incomplete } else { VarintError::TooLong })
}

/// Reads a zigzag 32-bit varint at `*position` and moves past it.
#[inline]
pub fn read_varint(buffer: &[u8], position: &mut usize) -> Result<i32, VarintError> {
    read_unsigned_varint(buffer, position).map(|raw| (raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// Reads a zigzag 64-bit varint at `*position` and moves past it.
#[inline]
pub fn read_varlong(buffer: &[u8], position: &mut usize) -> Result<i64, VarintError> {
    read_unsigned_varlong(buffer, position).map(|raw| (raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// Appends `value` as an unsigned varint.
pub fn write_unsigned_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` as an unsigned 64-bit varint.
pub fn write_unsigned_varlong(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` as a zigzag varint.
pub fn write_varint(out: &mut Vec<u8>, value: i32) {
    write_unsigned_varint(out, ((value << 1) ^ (value >> 31)) as u32);
}

/// Appends `value` as a zigzag 64-bit varint.
pub fn write_varlong(out: &mut Vec<u8>, value: i64) {
    write_unsigned_varlong(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Bytes that `value` takes as a zigzag varint.
pub const fn varint_len(value: i32) -> usize {
    varlong_len(value as i64)
}

/// Bytes that `value` takes as a zigzag 64-bit varint.
pub const fn varlong_len(value: i64) -> usize {
    let raw = ((value << 1) ^ (value >> 63)) as u64;
    let bits = 64 - (raw | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_round_trip(value: i32) {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_len(value));
            prop_assert!(out.len() <= MAX_VARINT_BYTES);
            let mut position = 0;
            prop_assert_eq!(read_varint(&out, &mut position), Ok(value));
            prop_assert_eq!(position, out.len());
            for cut in 0..out.len() {
                let mut position = 0;
                prop_assert_eq!(read_varint(&out[..cut], &mut position), Err(VarintError::Incomplete));
                prop_assert_eq!(position, 0);
            }
        }

        #[test]
        fn varlongs_round_trip(value: i64) {
            let mut out = Vec::new();
            write_varlong(&mut out, value);
            prop_assert_eq!(out.len(), varlong_len(value));
            let mut position = 0;
            prop_assert_eq!(read_varlong(&out, &mut position), Ok(value));
            prop_assert_eq!(position, out.len());
        }
    }

    #[test]
    fn known_encodings() {
        for (value, expected) in [
            (0i32, &[0u8][..]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[126]),
            (-64, &[127]),
            (64, &[128, 1]),
            (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn overlong_values_are_malformed() {
        assert_eq!(read_varint(&[0x80; 6], &mut 0), Err(VarintError::TooLong));
        assert_eq!(read_varlong(&[0x80; 11], &mut 0), Err(VarintError::TooLong));
        assert_eq!(read_varint(&[0x80; 4], &mut 0), Err(VarintError::Incomplete));
        assert_eq!(read_varint(&[], &mut 7), Err(VarintError::Incomplete));
    }
}
