"""What a row uses to load a server: the generator with its options, and brokers of its own."""
import contextlib
import json
import subprocess
import time

from . import servers

# Seconds after which a load that something else runs beside has begun.
LEAD = 0.5


class Load:
    """Of one kind of server in one round. `results` gets every raw result, so that none is lost."""

    def __init__(self, kind, place, seconds, results, memory):
        self.kind, self.place, self.seconds, self.results, self.memory = kind, place, seconds, results, memory
        # The broker that is loaded, or the cluster, and the replicas of topics in it.
        self.running = None
        self.replicas = 1
        self.row = None

    def warm(self, seconds):
        """The JVM compiles what it has run often: a broker gets the same loads before anything counts."""
        row, measured = self.row, self.seconds
        self.row, self.seconds = "warm-up", seconds / 2
        self.produce(partitions=16, connections=16, each=1, in_flight=2, per_batch=100, size=1024)
        self.e2e(partitions=4, consumers=2, assign="share", connections=8, per_batch=1, size=100, rate=2_000)
        self.row, self.seconds = row, measured

    def warm_own(self):
        """Warms a broker of a row's own: Apache Kafka for long enough to compile; Flumen has nothing to compile."""
        if self.kind == "kafka":
            self.warm(2 * self.seconds)

    def remember(self, name, value):
        """A figure of Flumen's that this row's floors need in the same round."""
        if self.kind == "flumen":
            self.memory["flumen"][self.row, name] = value

    def of_flumen(self, name):
        return self.memory["flumen"].get((self.row, name))

    def keep(self, result, label=None):
        self.results.keep(self.row, self.kind, result, label)

    def also(self, kind, figures):
        """Figures of another kind that this kind's turn has measured."""
        self.results.add(self.row, kind, figures)

    def stalls(self, broker):
        """The longest stall of a stopped broker's cores, if it tells; their histogram is kept."""
        found = broker.stalls()
        if not found:
            return {}
        self.results.stalls(self.row, [classes for _, classes in found])
        return {"longest stall of a core ms": max(longest for longest, _ in found) / 1e3}

    def in_turn(self, parts):
        """The parts of a row, in the other order each time: whoever is second finds a warmer broker."""
        turn = self.memory["turn", self.row, self.kind] = self.memory.get(("turn", self.row, self.kind), 0) + 1
        return parts if turn % 2 else parts[::-1]

    def size(self, quick, usual, long):
        return quick if self.place.quick else long if self.place.long else usual

    def topic(self):
        self.memory["topics"] = self.memory.get("topics", 0) + 1
        return f"perf-{self.memory['topics']}"

    def command(self, command, options):
        return ["taskset", "-c", self.place.load_cores, str(self.place.generator), command, "--quiet", *map(str, options)]

    def generator(self, command, options, pid=None, timed=True, seconds=None, label=None, warm=None):
        out = self.place.scratch / "result.json"
        out.unlink(missing_ok=True)
        seconds = seconds or self.seconds
        full = self.command(command, ["--json", out, *options])
        if timed:
            full += ["--duration", str(seconds), "--warmup", str(warm or self.seconds / 4)]
        for one in pid if isinstance(pid, list) else [pid] if pid else []:
            full += ["--broker-pid", str(one)]
        self.run(full, seconds)
        result = json.loads(out.read_text())
        self.keep(result, label)
        return result

    def beside(self, command, options, work, held=False, label=None):
        """Does `work` while the generator's `command` loads the same broker: the results of both.

        With `held` the command measures first, and `work` begins when it has written its result and goes on without measuring.
        """
        out, log = self.place.scratch / "beside.json", self.place.scratch / "beside.log"
        out.unlink(missing_ok=True)
        full = self.command(command, ["--json", out, *options])
        with open(log, "wb") as output, subprocess.Popen(full, stdout=output, stderr=output) as child:
            try:
                started = time.monotonic()
                while child.poll() is None and not (out.exists() if held else time.monotonic() - started > LEAD):
                    time.sleep(0.02)
                found = work() if child.poll() is None else None
                covered = child.poll() is None
                child.wait(timeout=600)
            finally:
                child.kill()
        if not covered or child.returncode != 0:
            why = "failed" if child.returncode else "ended before what was to run beside it"
            raise RuntimeError(f"{self.row} on {self.kind}: {' '.join(full)} {why}\n{log.read_text(errors='replace')[-2000:]}")
        result = json.loads(out.read_text())
        self.keep(result, label)
        return result, found

    def run(self, command, seconds=0):
        """A command that must succeed: what it prints."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=600 + seconds, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{self.row} on {self.kind}: {' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def target(self, topic, partitions=None, configs=()):
        options = ["--bootstrap", self.running.address(), "--topic", topic]
        if partitions:
            options += ["--create", "--partitions", partitions, "--replication-factor", self.replicas]
            for config in configs:
                options += ["--config", config]
        return options

    def new_topic(self, partitions, capped=True):
        """A topic for others' generators, which one record brings into being; closed loops must be `capped`, or they fill the disk."""
        topic = self.topic()
        options = self.target(topic, partitions, self.place.topic_configs if capped else ())
        self.generator("produce", options + ["--records", 1, "--records-per-batch", 1], timed=False, label="set-up")
        return topic

    def produce(self, partitions, connections, in_flight, per_batch, size, each=None, acks="1", configs=(), more=(), warm=None, label=None):
        own = {config.partition("=")[0] for config in configs}
        others = [config for config in self.place.topic_configs if config.partition("=")[0] not in own]
        options = self.target(self.topic(), partitions, (*configs, *others))
        options += ["--connections", connections, "--in-flight", in_flight, "--records-per-batch", per_batch, "--record-size", size]
        options += ["--acks", acks, *more] + (["--partitions-per-connection", each] if each else [])
        return self.generator("produce", options, self.running.pid, warm=warm, label=label)

    def fill(self, partitions, megabytes, size=1024, connections=4, each=None):
        topic, per_batch = self.topic(), 200 * 1024 // size
        options = self.target(topic, partitions) + ["--records-per-batch", per_batch, "--record-size", size, "--connections", connections]
        options += ["--partitions-per-connection", each] if each else []
        self.generator("produce", options + ["--records", megabytes * 1024 * 1024 // size], timed=False, label="set-up")
        return topic

    def consume(self, topic, options):
        return self.generator("consume", self.target(topic) + options, self.running.pid)

    def e2e(self, partitions, consumers, assign, connections, per_batch, size, rate, label=None):
        options = self.target(self.topic(), partitions, self.place.topic_configs)
        options += ["--consumers", consumers, "--assign", assign, "--sessions", "--connections", connections, "--rate", rate]
        options += ["--records-per-batch", per_batch, "--record-size", size]
        return self.generator("e2e", options, self.running.pid, label=label)

    def floor(self, program, client, options, server_options=(), warm=None, all_cores=False, label=None):
        with servers.Floor(program, self.placed(all_cores), list(map(str, server_options))) as floor:
            return self.generator(client, ["--target", floor.address(), *options], floor.pid, warm=warm, label=label)

    def checksum(self, files):
        """Reads files and computes their CRC-32C, where a server would run."""
        out, command = self.in_place_of_a_server("checksum", files)
        self.run(command)
        result = json.loads(out.read_text())
        self.keep(result, "checksum")
        return result

    def in_place_of_a_server(self, command, options):
        """Where a command of the generator that serves nobody leaves its result, and its words."""
        out = self.place.scratch / "result.json"
        return out, ["taskset", "-c", self.place.server_cores, str(self.place.generator), command, "--json", str(out), *map(str, options)]

    def gaps_beside(self, work):
        """Runs `work` over and over while a program on the server's processor looks at the clock: the longest time in ms that it could not."""
        out, command = self.in_place_of_a_server("gaps", ["--seconds", self.seconds])
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as watcher:
            while watcher.poll() is None:
                work()
        if watcher.returncode != 0:
            raise RuntimeError(f"{self.row}: {' '.join(command)} failed")
        result = json.loads(out.read_text())
        self.keep(result, "gaps")
        return result["longest_us"] / 1e3

    def librdkafka(self, verb, topic, options):
        """Runs the script of librdkafka: its bytes, records and seconds."""
        python = self.place.kafka_tools / "python" / "bin" / "python"
        if not python.exists():
            raise RuntimeError(f"{python} is missing: `tests/run tools` installs it")
        script = servers.ROOT / "perf" / "comparison" / "librdkafka.py"
        command = ["taskset", "-c", self.place.load_cores, str(python), str(script), verb, self.running.address(), topic, *map(str, options)]
        result = json.loads(self.run(command, self.seconds))
        self.keep(result, verb)
        return result

    def broker(self, keep_data=False, all_cores=False, settings=()):
        return servers.Broker(self.kind, self.placed(all_cores), keep_data, settings)

    @contextlib.contextmanager
    def cluster(self, settings=(), all_cores=False, replicas=servers.CLUSTER_NODES):
        """Three brokers, which are loaded from now on, and topics with so many replicas."""
        with servers.Cluster(self.kind, self.placed(all_cores), settings) as cluster:
            before = self.running, self.replicas
            self.running, self.replicas = cluster, replicas
            self.results.configuration(f"{self.kind}-cluster", cluster)
            try:
                yield cluster
            finally:
                self.running, self.replicas = before

    def ask(self, command, options, label=None):
        """A command of the generator that is no load: what it found."""
        return self.generator(command, ["--bootstrap", self.running.address(), *options], timed=False, label=label or command)

    def placed(self, all_cores):
        return self.place.on_all_cores() if all_cores else self.place

    def create(self, broker, partitions):
        """A topic with so many partitions, which one record brings into being."""
        self.running = broker
        self.new_topic(partitions, capped=False)

    def each_partition_takes_a_record(self, topic, partitions):
        out = self.place.scratch / "result.json"
        out.unlink(missing_ok=True)
        options = self.target(topic) + ["--connections", partitions, "--partitions-per-connection", 1, "--records-per-batch", 1]
        command = self.command("produce", ["--json", out, *options, "--records", partitions])
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        if done.returncode != 0 or not out.exists():
            return False
        result = json.loads(out.read_text())
        return not result["errors"] and result["produced"]["records"] == partitions
