//! Kafka's wire: frames in, messages out, and back.
//!
//! Kafka has some ninety APIs of up to eighteen versions each, and as many record kinds in its own logs. Writing those by hand is
//! how brokers come to disagree with clients; so Kafka's own schemas are the source, and [`generated`] is Rust made from them by
//! `tests/codegen`: one struct a message for all its versions, with straight-line code that reads and writes it.
//!
//! Messages own their parts and have no lifetimes, and still nothing is copied: strings ([`StrBytes`]) and record data
//! ([`Records`]) are reference-counted slices of the frame, so a produced batch travels to its core and to the disk as the buffer
//! that the socket filled. On the way out a [`Writer`] leaves gaps where records of the page cache belong; its [`Chunk`]s say
//! where the server is to `sendfile`.
//!
//! What a client sends is hostile until proven otherwise: [`Reader`] checks every length against the bytes that are left before it
//! allocates, and bounds what one frame may take.
//!
//! Where to enter:
//! - an API or version that we serve: [`api::SERVED`];
//! - a frame, its header, and what closes a connection: [`frame`];
//! - a field of a message: its file in [`generated`]; fields have the schema's names and defaults;
//! - how a primitive looks on the wire: [`Reader`] and [`Writer`];
//! - the envelope of cluster metadata records: [`metadata`]; the coordinators' records: [`generated`]'s `coordinator_record`.

pub mod api;
pub mod codec;
pub mod frame;
pub mod generated;
pub mod metadata;
mod reader;
mod str_bytes;
mod writer;

pub use codec::{DecodeError, EncodeError, Message, Records, Request};
pub use frame::{FrameError, RequestFrame};
pub use generated::{ApiKey, MetadataRecord};
pub use reader::Reader;
pub use str_bytes::StrBytes;
pub use writer::{Chunk, Writer};
