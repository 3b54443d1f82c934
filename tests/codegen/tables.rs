//! Writes what spans messages: the list of modules, the API keys, and the enums over the records of one log.

use crate::rust::snake_case;
use crate::schema::{Kind, Message};
use std::fmt::Write as _;

const HEADER: &str = "//! Generated from Apache Kafka 4.2.0's message schemas by `tests/codegen`; not edited by hand.\n//!\n\
    //! `FLUMEN_REGENERATE=1 cargo test --test codegen` writes it anew.\n\n";

/// `mod.rs`: modules, re-exports, what every file uses, and the list of messages for tests.
pub fn mod_file(messages: &[Message]) -> String {
    let mut out = format!("{HEADER}#![allow(clippy::all, unused_variables, unused_mut, unused_imports, unused_parens)]\n\n");
    for table in ["api_key", "metadata_record", "coordinator_record"] {
        writeln!(out, "mod {table};\npub use {table}::*;").unwrap();
    }
    for m in messages {
        let module = snake_case(&m.name);
        writeln!(out, "pub mod {module};\npub use {module}::{};", m.name).unwrap();
    }
    out += "
        mod prelude {
            pub(super) use super::ApiKey;
            pub(super) use crate::model::TopicId;
            pub(super) use crate::protocol::{DecodeError, EncodeError, Message, Reader, Records, Request, StrBytes, Writer};
            pub(super) use bytes::Bytes;

            #[cold]
            pub(super) fn lost(field: &'static str, version: i16) -> Result<(), EncodeError> {
                Err(EncodeError::FieldNotInVersion { field, version })
            }

            #[cold]
            pub(super) fn null(field: &'static str, version: i16) -> Result<(), EncodeError> {
                Err(EncodeError::NullNotInVersion { field, version })
            }
        }
";
    out
}

/// The list of messages for tests that go through all of them.
pub fn every_message_file(messages: &[Message]) -> String {
    let names: String = messages.iter().map(|m| format!("            {},\n", m.name)).collect();
    format!(
        "{HEADER}/// Calls the macro `$each` with every generated message type, separated by commas.
macro_rules! for_every_message {{
    ($each:ident) => {{
        $each! {{
{names}        }}
    }};
}}

pub(crate) use for_every_message;
"
    )
}

/// The enum of APIs and what the schemas say of each.
pub fn api_key_file(messages: &[Message]) -> String {
    let mut apis: Vec<(i16, &str, &Message)> = Vec::new();
    for m in messages.iter().filter(|m| m.kind == Kind::Request) {
        let name = m.name.strip_suffix("Request").expect("a request is called Request");
        apis.push((m.api_key.expect("a request has an API key"), name, m));
    }
    apis.sort_by_key(|(key, ..)| *key);
    let mut arms: [String; 6] = Default::default();
    for (key, name, m) in &apis {
        writeln!(arms[0], "{name} = {key},").unwrap();
        writeln!(arms[1], "Self::{name},").unwrap();
        writeln!(arms[2], "{key} => Self::{name},").unwrap();
        writeln!(arms[3], "Self::{name} => \"{name}\",").unwrap();
        let listens = |listener: &str| m.listeners.iter().any(|l| l == listener);
        writeln!(
            arms[4],
            "Self::{name} => SchemaVersions {{ min: {}, max: {}, flexible_from: {}, latest_unstable: {}, broker: {}, controller: {} }},",
            m.versions.low,
            m.versions.high,
            if m.flexible.is_empty() { i16::MAX } else { m.flexible.low },
            m.latest_version_unstable,
            listens("broker"),
            listens("controller"),
        )
        .unwrap();
    }
    let [variants, all, numbers, names, versions, _] = arms;
    format!(
        "//! The APIs of Kafka 4.2 and the versions in which their messages exist.

        use super::prelude::*;

        /// An API, by Kafka's name and number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {{ {variants} }}

        /// What the schemas say of one API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct SchemaVersions {{
            /// Lowest version.
            pub min: i16,
            /// Highest version.
            pub max: i16,
            /// First version with compact lengths and tagged fields (KIP-482).
            pub flexible_from: i16,
            /// The highest version may still change and is not to be advertised.
            pub latest_unstable: bool,
            /// Kafka's brokers answer it.
            pub broker: bool,
            /// Kafka's controllers answer it.
            pub controller: bool,
        }}

        impl ApiKey {{
            /// Every API, ascending.
            pub const ALL: &[Self] = &[{all}];

            /// The API of this number, if there is one.
            pub fn from_code(code: i16) -> Option<Self> {{ Some(match code {{ {numbers} _ => return None, }}) }}

            /// Kafka's name.
            pub const fn name(self) -> &'static str {{ match self {{ {names} }} }}

            /// The versions of its messages.
            pub const fn schema(self) -> SchemaVersions {{ match self {{ {versions} }} }}
        }}\n"
    )
}

/// The enum over the records of `__cluster_metadata`.
pub fn metadata_record_file(messages: &[Message]) -> String {
    let mut records: Vec<&Message> = messages.iter().filter(|m| m.kind == Kind::Metadata).collect();
    records.sort_by_key(|m| m.api_key);
    let mut arms: [String; 6] = Default::default();
    for m in records {
        let (name, key) = (&m.name, m.api_key.expect("a metadata record has a key"));
        let variant = name.strip_suffix("Record").expect("a metadata record is called Record");
        writeln!(arms[0], "{variant}({name}),").unwrap();
        writeln!(arms[1], "Self::{variant}(_) => {key},").unwrap();
        writeln!(arms[2], "Self::{variant}(_) => {name}::MAX_VERSION,").unwrap();
        writeln!(arms[3], "{key} => Self::{variant}({name}::decode(r, version)?),").unwrap();
        writeln!(arms[4], "Self::{variant}(m) => m.encode(w, version),").unwrap();
        writeln!(arms[5], "impl From<{name}> for MetadataRecord {{ fn from(m: {name}) -> Self {{ Self::{variant}(m) }} }}\n")
            .unwrap();
    }
    let [variants, keys, versions, decode, encode, from] = arms;
    format!(
        "//! The records of `__cluster_metadata`, as one enum.

        use super::prelude::*;
        use super::*;

        /// A record of `__cluster_metadata`; [`crate::protocol::metadata`] frames it.
        #[derive(Clone, Debug, PartialEq)]
        pub enum MetadataRecord {{ {variants} }}

        impl MetadataRecord {{
            /// Number of the record's kind.
            pub fn api_key(&self) -> u32 {{ match self {{ {keys} }} }}

            /// Highest version of the record's kind.
            pub fn max_version(&self) -> i16 {{ match self {{ {versions} }} }}

            pub(crate) fn decode_body(r: &mut Reader, api_key: u32, version: i16) -> Result<Self, DecodeError> {{
                Ok(match api_key {{ {decode} _ => return Err(DecodeError::UnknownKind(api_key as i32)), }})
            }}

            pub(crate) fn encode_body(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {{ match self {{ {encode} }} }}
        }}

        {from}"
    )
}

/// The logs whose records come as a key with its kind and a value: name of the enums, and how to tell their messages.
const COORDINATORS: &[(&str, &str, fn(&str) -> bool)] = &[
    ("ConsumerOffsets", "__consumer_offsets", |name| !name.starts_with("TransactionLog") && !is_share_state(name)),
    ("TransactionState", "__transaction_state", |name| name.starts_with("TransactionLog")),
    ("ShareGroupState", "__share_group_state", is_share_state),
];

fn is_share_state(name: &str) -> bool {
    name.starts_with("ShareSnapshot") || name.starts_with("ShareUpdate")
}

/// The enums over the keys and values of the coordinators' logs.
pub fn coordinator_record_file(messages: &[Message]) -> String {
    let mut out = "//! The keys and values of the coordinators' logs, as enums. A key is its kind in 16 bits and the key's version 0; a value\n\
        //! is its version in 16 bits and the value. A kind that is not known is an error of its own, since readers must ignore it.\n\n\
        use super::prelude::*;\nuse super::*;\n\n"
        .to_owned();
    for (name, topic, belongs) in COORDINATORS {
        let of = |kind| {
            let mut of: Vec<&Message> = messages.iter().filter(|m| m.kind == kind && belongs(&m.name)).collect();
            of.sort_by_key(|m| m.api_key);
            of
        };
        out += &key_enum(name, topic, &of(Kind::CoordinatorKey));
        out += &value_enum(name, topic, &of(Kind::CoordinatorValue));
    }
    out
}

fn key_enum(name: &str, topic: &str, keys: &[&Message]) -> String {
    let mut arms: [String; 4] = Default::default();
    for m in keys {
        let (message, kind) = (&m.name, m.api_key.expect("a key has a kind"));
        let variant = message.strip_suffix("Key").expect("a key is called Key");
        assert_eq!((m.versions.low, m.versions.high), (0, 0), "a second version of a key");
        writeln!(arms[0], "{variant}({message}),").unwrap();
        writeln!(arms[1], "Self::{variant}(_) => {kind},").unwrap();
        writeln!(arms[2], "{kind} => Self::{variant}({message}::decode(r, 0)?),").unwrap();
        writeln!(arms[3], "Self::{variant}(m) => m.encode(w, 0)?,").unwrap();
    }
    let [variants, kinds, decode, encode] = arms;
    format!(
        "/// A record key of `{topic}`.
        #[derive(Clone, Debug, PartialEq)]
        pub enum {name}Key {{ {variants} }}

        impl {name}Key {{
            /// Number of the record's kind.
            pub fn kind(&self) -> i16 {{ match self {{ {kinds} }} }}

            /// Reads a record's key. [`DecodeError::UnknownKind`] for a kind of a later Kafka, which is to be ignored.
            pub fn from_bytes(key: Bytes) -> Result<Self, DecodeError> {{
                let r = &mut Reader::new(key);
                Ok(match r.i16()? {{ {decode} kind => return Err(DecodeError::UnknownKind(i32::from(kind))), }})
            }}

            /// The record's key.
            pub fn to_bytes(&self) -> Result<Bytes, EncodeError> {{
                let mut writer = Writer::contiguous();
                let w = &mut writer;
                w.i16(self.kind());
                match self {{ {encode} }}
                Ok(writer.into_bytes())
            }}
        }}\n\n"
    )
}

fn value_enum(name: &str, topic: &str, values: &[&Message]) -> String {
    let mut arms: [String; 3] = Default::default();
    for m in values {
        let (message, kind) = (&m.name, m.api_key.expect("a value has a kind"));
        let variant = message.strip_suffix("Value").expect("a value is called Value");
        writeln!(arms[0], "{variant}({message}),").unwrap();
        writeln!(arms[1], "{kind} => Self::{variant}({message}::decode(r, version)?),").unwrap();
        writeln!(arms[2], "Self::{variant}(m) => m.encode(w, version)?,").unwrap();
    }
    let [variants, decode, encode] = arms;
    format!(
        "/// A record value of `{topic}`; its key says which kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum {name}Value {{ {variants} }}

        impl {name}Value {{
            /// Reads the value of a record whose key is of `kind`.
            pub fn from_bytes(kind: i16, value: Bytes) -> Result<Self, DecodeError> {{
                let r = &mut Reader::new(value);
                let version = r.i16()?;
                Ok(match kind {{ {decode} kind => return Err(DecodeError::UnknownKind(i32::from(kind))), }})
            }}

            /// The record's value in `version`.
            pub fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {{
                let mut writer = Writer::contiguous();
                let w = &mut writer;
                w.i16(version);
                match self {{ {encode} }}
                Ok(writer.into_bytes())
            }}
        }}\n\n"
    )
}
