//! What the text looks like to Prometheus.

use super::metrics;

#[test]
fn labels_are_escaped_and_every_metric_has_its_type() {
    let text = metrics::sample();
    let mut typed = std::collections::BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("name and type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(typed.insert(name.to_owned()), "{name} is declared once");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().expect("a name");
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            assert!(typed.contains(name) || typed.contains(base), "{name} has a type before its first line");
            let value = line.rsplit(' ').next().expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(text.contains("flumen_log_size_bytes{topic=\"a\\\"b\",partition=\"3\"} 17\n"), "{text}");
    assert!(text.contains("flumen_requests_total{core=\"1\",api=\"Produce\"} 1\n"), "{text}");
    assert!(text.contains("api=\"Produce\",stage=\"handled\",le=\"0.0001\"} 1\n"), "{text}");
    assert!(text.contains("flumen_group_lag{group=\"g\",topic=\"t\",partition=\"0\"} 5\n"), "{text}");
}
