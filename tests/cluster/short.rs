//! The smaller fault matrix, which every change must pass: one of each kind, in a minute or two, and a rolling restart. [`faults`](crate::faults) has the whole.

use crate::nodes::Layout;
use crate::scene::{Fault, How, Scene, Way, Who, create};
use crate::support::{process, tools};
use std::time::Duration;

const JAVA_PRODUCER: &str = "org.apache.kafka.tools.VerifiableProducer";

#[test]
fn one_fault_of_each_kind() {
    let faults = [
        Fault::Stop(Who::Leader, How::Hard),
        Fault::Bounce(Who::Controller, How::Clean),
        Fault::Pause(Who::Controller),
        Fault::Partition(Who::Leader, Way::Both),
        Fault::Partition(Who::Controller, Way::Out),
        Fault::TwoDown,
        Fault::AllKilled,
    ];
    Scene::play("short", &Layout::THREE, faults);
}

/// All brokers in turn, twice, while the Java client produces too: it is told of no error, and what it was told is acked is there.
#[test]
fn a_rolling_restart() {
    let mut scene = Scene::new("rolling", &Layout::THREE);
    create(&scene.cluster, "java", &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]], &[("min.insync.replicas", "2")]);
    let settings = tempfile::NamedTempFile::new().expect("a temporary file");
    // What applications have by default; the tool alone would not retry.
    std::fs::write(settings.path(), "retries=2147483647\nenable.idempotence=true\n").unwrap();
    let mut command = tools::java(JAVA_PRODUCER, 256, "warn");
    command.args(["--bootstrap-server", &scene.cluster.bootstrap(), "--topic", "java", "--acks", "-1", "--throughput", "200"]);
    command.arg("--command-config").arg(settings.path());
    let producer = process::Running::start(command);
    scene.progress("before").unwrap_or_else(|wrong| panic!("{wrong}"));
    for fault in [Fault::RollingRestart; 2] {
        scene.strike(fault).unwrap_or_else(|wrong| panic!("{fault:?}: {wrong}"));
    }
    let said = producer.end(Duration::from_secs(60));
    let events = |name: &str| said.matches(&format!("\"name\":\"{name}\"")).count();
    let (acked, failed) = (events("producer_send_success"), events("producer_send_error"));
    let end: i64 = (0..3).map(|partition| scene.cluster.log_end("java", partition)).sum();
    scene.checker.report.say(&format!("the Java client: {acked} records acked, {failed} failed, {end} are there"));
    assert!(acked > 1000 && failed == 0, "{acked} records acked, {failed} failed:\n{}", process::tail(&said));
    assert!(end >= i64::try_from(acked).unwrap(), "{acked} records were acked, {end} are there");
    scene.end();
}
