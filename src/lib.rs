//! Flumen, an Apache Kafka-compatible broker: the map of the house.
//!
//! Rooms go from words to devices to the edge. A room may use the rooms that its line names, everything in the words layer,
//! and nothing else; `tests/layers.rs` reads the sources and fails on any other edge.
//!
//! ```text
//! server -> api -> shard -> { log, quorum, client, io } -> machines -> words
//! ```

// 1. Words: no I/O, no clock.
pub mod model; // newtypes, error codes, topic ids
pub mod protocol; // frames, header versions, which APIs and versions we serve, generated messages and records -> model, record
pub mod record; // record batch v2: header, records, builder, checks of a produced batch, compression -> model

// 2. Machines: pure, input + now -> effects. They never see each other; the shard joins them. -> words
pub mod access; // quotas: how much a client may do
pub mod controller; // cluster metadata: records, image, placement, brokers, elections, the decision of each admin call
pub mod group; // group coordinator: members, generations, committed offsets
pub mod producer; // idempotence: sequences, duplicates, producer snapshots
pub mod replica; // one replica of a partition: leading, following, the ISR, the high watermark, waiting produces

// 3. Devices.
pub mod client; // our own connection to other brokers and controllers: followers, heartbeats, votes, the command line -> io
pub mod io; // the only room that names glommio, libc or io_uring: files, sockets, timers, cores; real and simulated -> model
pub mod log; // a partition's directory: segments, indexes, recovery, retention, flush policy, checkpoints -> producer, io
pub mod quorum; // commits the controller's records to `__cluster_metadata` through openraft -> controller, log, client, io

// 4. One core.
pub mod shard; // what one core runs: partitions, fetchers, mailbox, ticks; on the first one the node's life in a cluster -> devices, machines

// 5. Edge.
pub mod admin; // metrics and health over HTTP -> shard, group, io
pub mod api; // one file per request kind: validate, split by owner core, ask the shards, assemble the answer -> shard, controller, group, io
pub mod cli; // the command line -> server, admin, client, quorum, controller, log, io
pub mod server; // listeners, connections, request order, start and stop -> api, admin, shard, io

// Beside the layers, open to devices and above.
pub mod config; // server.properties and topic configs: keys, defaults, what is honoured
pub mod telemetry; // counters, histograms, log lines
