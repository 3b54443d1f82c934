//! Topic ids, as Kafka writes them: 16 bytes on the wire, 22 characters of unpadded base64url in text (KIP-516).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::str::FromStr;

/// A 128-bit id in Kafka's text form. Also used for directory, incarnation and cluster ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

/// The text is not 22 characters of base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a base64url uuid of 22 characters")]
pub struct ParseTopicIdError;

impl TopicId {
    /// "No id": on the wire a request that names the topic instead.
    pub const ZERO: Self = Self([0; 16]);
    /// Reserved for the topic `__cluster_metadata`.
    pub const METADATA: Self = Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// Whether this is [`TopicId::ZERO`].
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// A version 4 uuid out of 16 random bytes. Kafka never gives out an id whose text starts with `-`, since tools would
    /// read it as an option, nor a reserved one (the first 100); `None` asks for other bytes.
    pub fn from_random(mut bytes: [u8; 16]) -> Option<Self> {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let id = Self(bytes);
        (!id.to_string().starts_with('-')).then_some(id)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TopicId {
    type Err = ParseTopicIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ParseTopicIdError)?;
        Ok(Self(bytes.try_into().map_err(|_| ParseTopicIdError)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_kafkas() {
        let id: TopicId = "djrjGGrZSIWJlK-JFZUQoA".parse().unwrap();
        assert_eq!(id.to_string(), "djrjGGrZSIWJlK-JFZUQoA");
        assert_eq!(TopicId::METADATA.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!("AAAA".parse::<TopicId>(), Err(ParseTopicIdError));
    }

    #[test]
    fn random_ids_never_start_with_a_dash() {
        assert_eq!(TopicId::from_random([0xf8; 16]), None);
        assert!(TopicId::from_random([1; 16]).is_some());
    }
}
