//! The text that Prometheus reads (exposition format 0.0.4).

use crate::group::State;
use crate::protocol::ApiKey;
use crate::shard::{CoreStatistics, GroupLag, LogSize, Shards};
use crate::telemetry::Histogram;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is counted.
pub(super) async fn text(shards: &Shards) -> String {
    let mut cores = Vec::new();
    for (core, answer) in shards.ask_cores_for_statistics().into_iter().enumerate() {
        cores.extend(answer.await.ok().map(|statistics| (core, statistics)));
    }
    let (logs, groups) = (shards.log_sizes().await, shards.group_lags().await);
    let image = shards.image();
    let name = |size: &LogSize| {
        let topic = image.topic_by_id(size.id.topic_id)?;
        Some((topic.name.to_string(), size.id.partition.0, size.bytes))
    };
    let logs: Vec<_> = logs.iter().filter(|size| !size.is_future).filter_map(name).collect();
    shards.io().compute(true, move || write(&cores, &logs, &groups)).await
}

/// One metric after the other, each with its help and its type.
#[derive(Default)]
struct Text(String);

impl Text {
    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        self.0.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.0.push_str(name);
        let mut before = '{';
        for (label, value) in labels {
            let value = value.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(self.0, "{before}{label}=\"{value}\"").expect("a string grows");
            before = ',';
        }
        let end = if labels.is_empty() { "" } else { "}" };
        writeln!(self.0, "{end} {value}").expect("a string grows");
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, &dyn Display)], histogram: &Histogram) {
        let (bucket, seconds) = (format!("{name}_bucket"), |micros: u64| micros as f64 / 1e6);
        for (bound, count) in histogram.cumulative() {
            self.line(&bucket, &[labels, &[("le", &seconds(bound))]].concat(), count);
        }
        self.line(&bucket, &[labels, &[("le", &"+Inf")]].concat(), histogram.count());
        self.line(&format!("{name}_sum"), labels, seconds(histogram.sum_us()));
        self.line(&format!("{name}_count"), labels, histogram.count());
    }
}

fn write(cores: &[(usize, CoreStatistics)], logs: &[(String, i32, u64)], groups: &[GroupLag]) -> String {
    let mut text = Text::default();
    requests(&mut text, cores);
    devices(&mut text, cores);
    text.begin("flumen_log_size_bytes", "gauge", "Bytes of a partition's log.");
    for (topic, partition, bytes) in logs {
        text.line("flumen_log_size_bytes", &[("topic", topic), ("partition", partition)], bytes);
    }
    self::groups(&mut text, groups);
    text.0
}

fn requests(text: &mut Text, cores: &[(usize, CoreStatistics)]) {
    let api_name = |api: i16| ApiKey::from_code(api).map_or("unknown", ApiKey::name);
    let all = || cores.iter().flat_map(|(core, of)| of.requests.iter().map(move |(api, of)| (*core, api_name(*api), of)));
    text.begin("flumen_requests_total", "counter", "Requests taken.");
    for (core, api, of) in all() {
        text.line("flumen_requests_total", &[("core", &core), ("api", &api)], of.requests);
    }
    text.begin("flumen_request_bytes_total", "counter", "Bytes of the requests taken.");
    for (core, api, of) in all() {
        text.line("flumen_request_bytes_total", &[("core", &core), ("api", &api)], of.request_bytes);
    }
    let name = "flumen_request_duration_seconds";
    text.begin(
        name,
        "histogram",
        "From when a request was taken to when its answer was known (handled), or with the kernel (answered).",
    );
    for (core, api, of) in all() {
        text.histogram(name, &[("core", &core), ("api", &api), ("stage", &"handled")], &of.handled);
        text.histogram(name, &[("core", &core), ("api", &api), ("stage", &"answered")], &of.answered);
    }
}

fn devices(text: &mut Text, cores: &[(usize, CoreStatistics)]) {
    type Count = fn(&CoreStatistics) -> u64;
    const COUNTERS: [(&str, &str, Count); 15] = [
        ("flumen_received_bytes_total", "Bytes received from sockets.", |of| of.counters.received_bytes),
        ("flumen_sent_memory_bytes_total", "Bytes sent from memory.", |of| of.counters.memory_bytes),
        ("flumen_sendfile_bytes_total", "Bytes sent from the page cache without a copy.", |of| of.counters.sendfile_bytes),
        ("flumen_sent_copied_bytes_total", "Bytes of files sent by way of memory.", |of| of.counters.file_copied_bytes),
        ("flumen_written_bytes_total", "Bytes written to files.", |of| of.counters.written_bytes),
        ("flumen_write_calls_total", "Writes to files.", |of| of.counters.write_calls),
        ("flumen_helper_writes_total", "Writes that a helper did because the kernel might have throttled them.", |of| {
            of.counters.helper_writes
        }),
        ("flumen_read_bytes_total", "Bytes read from files.", |of| of.counters.read_bytes),
        ("flumen_cold_reads_total", "Reads of what was not in the page cache.", |of| of.counters.cold_reads),
        ("flumen_syncs_total", "Calls of fdatasync.", |of| of.counters.syncs),
        ("flumen_accepted_connections_total", "Connections accepted.", |of| of.counters.accepts),
        ("flumen_scrubbed_bytes_total", "Bytes of old segments read to see whether they are still good.", |of| of.scrubbed_bytes),
        ("flumen_log_damages_total", "Ranges of committed records found damaged in logs.", |of| of.damages),
        ("flumen_log_repairs_total", "Damaged logs that are whole again.", |of| of.repairs),
        ("flumen_core_messages_total", "Times that other cores woke this one.", |of| of.counters.mail_calls),
    ];
    for (name, help, count) in COUNTERS {
        text.begin(name, "counter", help);
        for (core, of) in cores {
            text.line(name, &[("core", core)], count(of));
        }
    }
    let name = "flumen_core_held_seconds";
    text.begin(name, "histogram", "How long a task held its core, each time it got it.");
    for (core, of) in cores {
        let mut sum = 0;
        for (below_us, count) in of.stalls.classes() {
            sum += count;
            text.line("flumen_core_held_seconds_bucket", &[("core", core), ("le", &(below_us as f64 / 1e6))], sum);
        }
        text.line("flumen_core_held_seconds_bucket", &[("core", core), ("le", &"+Inf")], sum);
        text.line("flumen_core_held_seconds_count", &[("core", core)], sum);
    }
    text.begin("flumen_partitions", "gauge", "Partitions on a core.");
    for (core, of) in cores {
        text.line("flumen_partitions", &[("core", core)], of.partitions);
    }
    text.begin("flumen_offline_log_dirs", "gauge", "Log dirs whose device has failed.");
    text.line("flumen_offline_log_dirs", &[], cores.iter().map(|(_, of)| of.offline_dirs).max().unwrap_or(0));
}

fn groups(text: &mut Text, groups: &[GroupLag]) {
    let states = [State::Empty, State::PreparingRebalance, State::CompletingRebalance, State::Stable].map(State::name);
    let mut by_state: BTreeMap<&str, usize> = states.map(|state| (state, 0)).into();
    for group in groups {
        *by_state.entry(group.state.name()).or_default() += 1;
    }
    text.begin("flumen_groups", "gauge", "Groups that this broker coordinates.");
    for (state, count) in by_state {
        text.line("flumen_groups", &[("state", &state)], count);
    }
    text.begin(
        "flumen_group_lag",
        "gauge",
        "Records that a group has not read of a partition that it has committed an offset for.",
    );
    for group in groups {
        for (partition, lag) in &group.lags {
            let labels: [(&str, &dyn Display); 3] =
                [("group", &&*group.group), ("topic", &partition.topic), ("partition", &partition.partition.0)];
            text.line("flumen_group_lag", &labels, lag);
        }
    }
}

/// One of everything.
#[cfg(test)]
pub(super) fn sample() -> String {
    use crate::model::{PartitionIndex, TopicPartition};
    let requests = crate::telemetry::RequestStatistics::default();
    requests.taken(0, 100);
    requests.handled(0, 70);
    requests.answered(0, 90);
    let of = CoreStatistics { requests: requests.snapshot(), ..CoreStatistics::default() };
    let lag = GroupLag { group: "g".into(), state: State::Stable, lags: vec![(TopicPartition::new("t", PartitionIndex(0)), 5)] };
    write(&[(1, of)], &[("a\"b".to_owned(), 3, 17)], &[lag])
}
