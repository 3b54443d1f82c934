//! Fetches Apache Kafka's published jars through Maven, into `target/kafka-schemas`: `jars` and, unpacked, `schemas`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Must match `pom.xml`; part of the path, so that a new version is fetched anew.
const KAFKA_VERSION: &str = "4.2.0";

fn directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("kafka-schemas").join(KAFKA_VERSION)
}

/// Where the repository is.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The directory with the JSON schemas; fetched when it is not there yet. Panics with Maven's output when that fails.
pub fn schemas() -> PathBuf {
    let goal = "unpack-dependencies";
    fetch("schemas", goal, &["-Dmdep.unpack.includes=common/message/*.json,common/metadata/*.json,message/*.json"])
}

/// The directory with the jars themselves.
#[allow(dead_code, reason = "not every test target that includes this file runs Java")]
pub fn jars() -> PathBuf {
    fetch("jars", "copy-dependencies", &[])
}

fn fetch(what: &str, goal: &str, options: &[&str]) -> PathBuf {
    let destination = directory().join(what);
    if destination.exists() {
        return destination;
    }
    // Test targets run one after the other, but threads within one do not: everybody fetches aside, the first rename wins.
    let aside = directory().join(format!("aside-{}-{:?}", std::process::id(), std::thread::current().id()));
    let output = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(root().join("tests/codegen/pom.xml"))
        .arg(format!("org.apache.maven.plugins:maven-dependency-plugin:3.8.1:{goal}"))
        .arg(format!("-DoutputDirectory={}", aside.join(what).display()))
        .arg(format!("-Dflumen.markers={}", aside.join("markers").display()))
        .args(options)
        .output()
        .expect("`mvn` must be installed: apt-get install maven");
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "mvn {goal} failed:\n{}", String::from_utf8_lossy(&text));
    settle(&aside, &destination);
    destination
}

fn settle(aside: &Path, destination: &Path) {
    let renamed = std::fs::rename(aside.join(destination.file_name().expect("a name")), destination);
    assert!(renamed.is_ok() || destination.exists(), "{} could not be moved into place: {renamed:?}", aside.display());
    std::fs::remove_dir_all(aside).expect("own directory");
}
