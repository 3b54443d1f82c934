//! What a run says: a line each second, a table at the end, and files for programs.

use crate::clock::{self, SECOND};
use crate::kafka::error_name;
use crate::run::Outcome;
use crate::stats::{Counts, Interval};
use crate::worker::Failure;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// The percentiles that are reported.
const PERCENTILES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999), ("p99_99", 0.9999)];
/// Nanoseconds of a unit of the HDR log's greatest values: milliseconds, as its readers expect.
const LOG_UNIT: f64 = 1e6;

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1_000.0
}

/// A line on the error output about what all workers did in an interval.
pub fn progress(interval: &Interval, start: u64) {
    let seconds = (interval.end - interval.start) as f64 / SECOND as f64;
    let mut line = format!("{:>6.1} s {:?}", (interval.end - start) as f64 / SECOND as f64, interval.phase);
    for (verb, counts) in [("produced", interval.produced), ("consumed", interval.consumed)] {
        if counts != Counts::default() {
            let (requests, records) = (counts.requests as f64 / seconds, counts.records as f64 / seconds);
            let megabytes = counts.bytes as f64 / seconds / 1e6;
            write!(line, "  {verb} {requests:.0} req/s {records:.0} rec/s {megabytes:.1} MB/s").expect("text grows");
        }
    }
    for (metric, histogram) in &interval.histograms {
        let at = |quantile| microseconds(histogram.value_at_quantile(quantile));
        write!(line, "  {} µs p50 {:.0} p99 {:.0}", metric.name(), at(0.5), at(0.99)).expect("text grows");
    }
    let errors: u64 = interval.errors.values().sum();
    if errors > 0 {
        write!(line, "  {errors} errors").expect("text grows");
    }
    eprintln!("{line}");
}

/// Writes a result to the file that programs read.
pub fn write_json(path: &Path, result: &Value) -> Result<(), Failure> {
    std::fs::write(path, format!("{result:#}\n")).map_err(|error| Failure(format!("{}: {error}", path.display())))
}

fn counts_json(counts: Counts, seconds: f64) -> Value {
    json!({
        "requests": counts.requests,
        "records": counts.records,
        "bytes": counts.bytes,
        "requests_per_second": counts.requests as f64 / seconds,
        "records_per_second": counts.records as f64 / seconds,
        "megabytes_per_second": counts.bytes as f64 / seconds / 1e6,
    })
}

/// A histogram of nanoseconds, in microseconds.
pub fn latency_json(histogram: &Histogram<u64>) -> Value {
    let mut values = Map::new();
    values.insert("count".to_owned(), json!(histogram.len()));
    values.insert("mean".to_owned(), json!(histogram.mean() / 1_000.0));
    for (name, quantile) in PERCENTILES {
        values.insert(name.to_owned(), json!(microseconds(histogram.value_at_quantile(quantile))));
    }
    values.insert("max".to_owned(), json!(microseconds(histogram.max())));
    Value::Object(values)
}

/// The results as JSON; `parameters` are those of the command line. Latencies in microseconds, memory in bytes, CPU in seconds.
pub fn to_json(command: &str, parameters: Value, outcome: &Outcome) -> Value {
    let total = &outcome.total;
    let latencies: Map<String, Value> =
        total.histograms.iter().map(|(metric, found)| (metric.name().to_owned(), latency_json(found))).collect();
    let errors: Map<String, Value> = total.errors.iter().map(|(code, count)| (error_name(*code), json!(count))).collect();
    let broker = outcome
        .broker
        .map(|broker| json!({ "cpu_seconds": broker.cpu, "rss_bytes": broker.rss_bytes, "max_rss_bytes": broker.max_rss_bytes }));
    json!({
        "command": command,
        "version": env!("CARGO_PKG_VERSION"),
        "parameters": parameters,
        "seconds": outcome.seconds,
        "produced": counts_json(total.produced, outcome.seconds),
        "consumed": counts_json(total.consumed, outcome.seconds),
        "unsent": total.unsent,
        "unanswered": total.unanswered,
        "errors": errors,
        "latency_us": latencies,
        "own_cpu_seconds": outcome.own_cpu,
        "stolen_seconds": outcome.stolen,
        "broker": broker,
        "failure": outcome.failure.as_ref().map(|failure| &failure.0),
    })
}

/// The results as a table for people.
pub fn to_table(outcome: &Outcome) -> String {
    let mut table = format!("{:.2} s measured\n", outcome.seconds);
    let total = &outcome.total;
    let mut line = |text: String| table.push_str(&format!("{text}\n"));
    let rate = |count: u64| count as f64 / outcome.seconds;
    for (verb, counts) in [("produced", total.produced), ("consumed", total.consumed)] {
        if counts == Counts::default() {
            continue;
        }
        line(format!(
            "{verb}   {:>12} requests {:>14} records {:>12.1} MB   {:>10.0} req/s {:>12.0} rec/s {:>9.1} MB/s",
            counts.requests,
            counts.records,
            counts.bytes as f64 / 1e6,
            rate(counts.requests),
            rate(counts.records),
            rate(counts.bytes) / 1e6
        ));
    }
    line(format!(
        "{:<12}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}",
        "latency µs", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"
    ));
    for (metric, found) in &total.histograms {
        let mut row = format!("{:<12}{:>11.1}", metric.name(), found.mean() / 1_000.0);
        for (_, quantile) in PERCENTILES {
            write!(row, "{:>11.1}", microseconds(found.value_at_quantile(quantile))).expect("text grows");
        }
        line(format!("{row}{:>11.1}", microseconds(found.max())));
    }
    let (bytes, requests) = (total.produced.bytes + total.consumed.bytes, total.produced.requests + total.consumed.requests);
    let mut cpu = |who: &str, cpu: crate::process::Cpu| {
        line(format!(
            "{who:<12}{:>8.2} s user {:>8.2} s system   {:>8.3} CPU s/GB {:>10.2} CPU µs/request",
            cpu.user,
            cpu.system,
            cpu.total() / (bytes as f64 / 1e9),
            cpu.total() * 1e6 / requests as f64
        ));
    };
    cpu("generator", outcome.own_cpu);
    if let Some(broker) = outcome.broker {
        cpu("broker", broker.cpu);
        line(format!("broker memory {:.1} MiB, at most {:.1} MiB", mib(broker.rss_bytes), mib(broker.max_rss_bytes)));
    }
    if let Some(stolen) = outcome.stolen.filter(|&stolen| stolen > 0.0) {
        line(format!("stolen      {stolen:>8.2} s by a hypervisor, of all processors together"));
    }
    for (code, count) in &total.errors {
        line(format!("error       {:>8} {}", count, error_name(*code)));
    }
    if total.unsent > 0 {
        line(format!("unsent      {:>8} requests were due and had not left at the end", total.unsent));
    }
    table
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Writes the latencies of each interval as an HDR histogram log (V2, compressed), one tag a metric, values in nanoseconds.
pub fn write_hdr(path: &Path, outcome: &Outcome) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut serializer = V2DeflateSerializer::new();
    let started = outcome.intervals.first().map_or(outcome.total.start, |interval| interval.start);
    // The wall clock at the start of the run; its own clock says how long ago that was.
    let ago = Duration::from_nanos(clock::now().saturating_sub(started));
    let wall = UNIX_EPOCH + Duration::from_millis(clock::wall_ms() as u64).saturating_sub(ago);
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("latencies in nanoseconds; tags: ack, service, fetch, end_to_end")
        .with_start_time(wall)
        .with_base_time(wall)
        .with_max_value_divisor(LOG_UNIT)
        .begin_log_with(&mut out, &mut serializer)?;
    for interval in &outcome.intervals {
        let (start, length) = (interval.start.saturating_sub(started), interval.end - interval.start);
        for (metric, histogram) in &interval.histograms {
            let tag = Tag::new(metric.name()).expect("a tag without commas and spaces");
            log.write_histogram(histogram, Duration::from_nanos(start), Duration::from_nanos(length), Some(tag))
                .map_err(|error| io::Error::other(error.to_string()))?;
        }
    }
    out.flush()
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
