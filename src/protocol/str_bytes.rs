//! Strings that share the frame that they were read from.

use bytes::Bytes;
use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// UTF-8 text in a reference-counted buffer: cloning and reading one off a frame copies no bytes.
///
/// It keeps its whole frame alive. Whatever outlives the request (a topic name in an image, a client id in a metric) is to be
/// copied out, by `to_string` or `Arc::from(&*name)`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StrBytes(Bytes);

impl StrBytes {
    /// The empty string.
    pub const EMPTY: Self = Self(Bytes::new());

    /// Text of the program itself, not copied.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// The text that `bytes` hold. As in Kafka, malformed UTF-8 is no error: the damaged part turns into U+FFFD, in a copy.
    pub fn from_utf8_lossy(bytes: Bytes) -> Self {
        if std::str::from_utf8(&bytes).is_ok() {
            return Self(bytes);
        }
        let repaired: Cow<'_, str> = String::from_utf8_lossy(&bytes);
        Self(Bytes::from(repaired.into_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // SAFETY: every constructor takes a `str` or checks the bytes, and `Bytes` cannot change.
        unsafe { std::str::from_utf8_unchecked(&self.0) }
    }

    /// The same bytes, untyped.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for StrBytes {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for StrBytes {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for StrBytes {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for StrBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for StrBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl From<&str> for StrBytes {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for StrBytes {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl From<&String> for StrBytes {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Arc<str>> for StrBytes {
    fn from(text: Arc<str>) -> Self {
        Self::from(&*text)
    }
}

impl From<&Arc<str>> for StrBytes {
    fn from(text: &Arc<str>) -> Self {
        Self::from(&**text)
    }
}

impl From<StrBytes> for Arc<str> {
    fn from(text: StrBytes) -> Self {
        Arc::from(text.as_str())
    }
}

impl From<StrBytes> for String {
    fn from(text: StrBytes) -> Self {
        text.as_str().to_owned()
    }
}

impl PartialEq<str> for StrBytes {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for StrBytes {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}
