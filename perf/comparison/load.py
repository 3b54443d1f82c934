"""What a row uses to load a server: the generator with its options, and brokers of its own."""
import json
import subprocess

from . import servers


class Load:
    """Of one kind of server in one round. `keep` gets every raw result, so that none is lost."""

    def __init__(self, kind, place, seconds, broker, keep, memory):
        self.kind, self.place, self.seconds, self.running, self.keep, self.memory = kind, place, seconds, broker, keep, memory
        self.row = None

    def topic(self):
        self.memory["topics"] = self.memory.get("topics", 0) + 1
        return f"perf-{self.memory['topics']}"

    def generator(self, command, options, pid=None, timed=True):
        out = self.place.scratch / "result.json"
        out.unlink(missing_ok=True)
        full = ["taskset", "-c", self.place.load_cores, str(self.place.generator), command, "--quiet", "--json", str(out), *map(str, options)]
        if timed:
            full += ["--duration", str(self.seconds), "--warmup", str(self.seconds / 4)]
        if pid:
            full += ["--broker-pid", str(pid)]
        done = subprocess.run(full, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{self.row} on {self.kind}: {' '.join(full)}\n{done.stdout}{done.stderr}")
        result = json.loads(out.read_text())
        self.keep(self.row, self.kind, result)
        return result

    def target(self, topic, partitions=None, configs=()):
        options = ["--bootstrap", self.running.address(), "--topic", topic]
        if partitions:
            options += ["--create", "--partitions", partitions]
            for config in configs:
                options += ["--config", config]
        return options

    def produce(self, partitions, connections, in_flight, per_batch, size, each=None, acks="1", configs=(), more=()):
        options = self.target(self.topic(), partitions, (*configs, *self.place.topic_configs))
        options += ["--connections", connections, "--in-flight", in_flight, "--records-per-batch", per_batch, "--record-size", size]
        options += ["--acks", acks, *more] + (["--partitions-per-connection", each] if each else [])
        return self.generator("produce", options, self.running.pid)

    def fill(self, partitions, megabytes):
        topic = self.topic()
        per_batch, size = 200, 1024
        options = self.target(topic, partitions) + ["--records-per-batch", per_batch, "--record-size", size]
        self.generator("produce", options + ["--connections", 4, "--records", megabytes * 1024 * 1024 // size], timed=False)
        return topic

    def consume(self, topic, options):
        return self.generator("consume", self.target(topic) + options, self.running.pid)

    def e2e(self, partitions, consumers, assign, connections, per_batch, size, rate):
        options = self.target(self.topic(), partitions, self.place.topic_configs)
        options += ["--consumers", consumers, "--assign", assign, "--sessions", "--connections", connections, "--rate", rate]
        options += ["--records-per-batch", per_batch, "--record-size", size]
        return self.generator("e2e", options, self.running.pid)

    def floor(self, program, client, options, server_options=()):
        with servers.Floor(program, self.place, list(map(str, server_options))) as floor:
            return self.generator(client, ["--target", floor.address(), *options], floor.pid)

    def broker(self, keep_data=False):
        return servers.Broker(self.kind, self.place, keep_data)

    def create(self, broker, partitions):
        """A topic with so many partitions, which one record brings into being."""
        self.running = broker
        options = self.target(self.topic(), partitions) + ["--records", 1, "--records-per-batch", 1]
        self.generator("produce", options, timed=False)
