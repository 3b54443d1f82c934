"""Kafka's own producer-perf-test, as a generator that neither broker was written for."""
import re
import subprocess
import time

from . import servers

# What the tool prints at its end, and with a warm-up once more for what came after it.
LINE = re.compile(r"^(?P<records>\d+)\D* records sent, (?P<rate>[\d.]+) records/sec \((?P<megabytes>[\d.]+) MB/sec\), (?P<mean>[\d.]+) ms avg "
                  r"latency, (?P<max>[\d.]+) ms max latency, \d+ ms 50th, \d+ ms 95th, (?P<p99>\d+) ms 99th", re.MULTILINE)
# What it prints now and then.
INTERVAL = re.compile(r"^\d+ records sent, (?P<rate>[\d.]+) records/sec \(", re.MULTILINE)
HEAP = "512m"
INTERVAL_MS = 500


class ProducerPerformance:
    """One run of the tool, in a process of its own. A fifth of the records are its warm-up."""

    def __init__(self, load, topic, records, size, properties):
        self.load, self.row = load, load.row
        ProducerPerformance.number = getattr(ProducerPerformance, "number", 0) + 1
        self.out = load.place.scratch / f"producer-performance-{ProducerPerformance.number}.log"
        logging = servers.ROOT / "tests" / "kafka_clients" / "java" / "log4j2.properties"
        self.command = ["taskset", "-c", load.place.load_cores, "java", f"-Xms{HEAP}", f"-Xmx{HEAP}", "-Dtest.log.level=warn",
                        f"-Dlog4j2.configurationFile={logging}", "-cp", f"{load.place.kafka_tools}/kafka/libs/*",
                        "org.apache.kafka.tools.ProducerPerformance", "--bootstrap-server", load.running.address(), "--topic", topic,
                        "--num-records", str(records), "--record-size", str(size), "--throughput", "-1",
                        "--warmup-records", str(records // 5), "--reporting-interval", str(INTERVAL_MS)]
        for one in properties:
            self.command += ["--command-property", one]

    def __enter__(self):
        with open(self.out, "wb") as output:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.out.unlink(missing_ok=True)

    def printed(self):
        return self.out.read_text(errors="replace")

    def fail(self, why):
        raise RuntimeError(f"{self.row}: {why}: {' '.join(self.command)}\n{self.printed()[-2000:]}")

    def wait_for_records(self):
        """Until it sends."""
        deadline = time.monotonic() + 60
        while not INTERVAL.search(self.printed()):
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.fail("the tool sends nothing")
            time.sleep(0.02)

    def finish(self, kill=False):
        """What it printed at its end; or, if it is ended before, the mean of its rates so far."""
        if kill:
            if self.child.poll() is not None:
                self.fail("the tool ended too early")
            self.child.kill()
            self.child.wait()
            rates = [float(rate) for rate in INTERVAL.findall(self.printed())][1:]
            if not rates:
                self.fail("the tool was too slow to print a rate")
            return {"records/s": sum(rates) / len(rates)}
        try:
            code = self.child.wait(timeout=600)
        except subprocess.TimeoutExpired:
            self.fail("the tool does not end")
        lines = list(LINE.finditer(self.printed()))
        if code != 0 or not lines:
            self.fail(f"exit code {code}")
        found = lines[-1]
        result = {"command": "ProducerPerformance", "printed": [line.group(0) for line in lines],
                  "records/s": float(found["rate"]), "p99 ms": float(found["p99"])}
        self.load.keep(result, "tool")
        return result


def run_beside(load, topic, records, size, properties, producers):
    """So many runs of the tool at the same time, each with so many records."""
    runs = [ProducerPerformance(load, topic, records, size, properties) for _ in range(producers)]
    try:
        for one in runs:
            one.__enter__()
        return [one.finish() for one in runs]
    finally:
        for one in runs:
            one.__exit__()


def run(load, topic, records, size, properties):
    return run_beside(load, topic, records, size, properties, 1)[0]
