//! Kafka's message formats v0 and v1, as far as recovery has to know one when it meets it.

/// Bytes of a message of an old format up to its magic.
pub(super) const OLD_HEAD_BYTES: u64 = 17;
/// Longest message of an old format whose checksum is looked at.
pub(super) const MAX_CHECKED_OLD_MESSAGE: u32 = 4 << 20;

/// Length behind itself and magic of what may be a message of Kafka's formats v0 and v1: offset 8, length 4, CRC-32 of the rest 4,
/// magic 1.
pub(super) fn old_message(head: &[u8]) -> Option<(u32, u8)> {
    let length = u32::from_be_bytes(head.get(8..12)?.try_into().expect("4 bytes"));
    let magic = *head.get(16)?;
    (magic < 2 && (14..=i32::MAX as u32).contains(&length)).then_some((length, magic))
}

/// The checksum of zip and of Kafka's old formats; bit by bit, since it is needed once in the life of a log.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    #[test]
    fn crc32_is_that_of_zip() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
