"""Starts and stops what is compared: one server at a time, pinned, with its data in a directory of the run."""
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLUSTER_ID = "Zmx1bWVuLXBlcmYtMTIzNA"
KAFKA_HEAP = "2g"
# Of each of the brokers of a cluster.
CLUSTER_HEAP = "1g"
CLUSTER_NODES = 3
SESSION_SECONDS = 6
# What each of Flumen's cores says at a clean stop.
STALLS = re.compile(r"how long tasks held the core core=(\d+) longest_us=(\d+) longest_write_us=\d+ held_us_below=([\d: ]+)$", re.MULTILINE)
# An ApiVersions request of version 0 with the correlation id 77 and no client id, and the start of its answer.
API_VERSIONS = bytes([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 77, 0xff, 0xff])
ANSWERED = bytes([0, 0, 0, 77])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def received(connection, count):
    """So many bytes, or fewer if the connection ends before."""
    found = b""
    while len(found) < count:
        more = connection.recv(count - len(found))
        if not more:
            break
        found += more
    return found


def asks(connection):
    """Whether an ApiVersions request has its answer, which is read to its end."""
    connection.sendall(API_VERSIONS)
    head = received(connection, 8)
    rest = int.from_bytes(head[:4], "big") - 4
    return head[4:] == ANSWERED and len(received(connection, rest)) == rest


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return asks(connection)
    except OSError:
        return False


class Server:
    """A process with a port. `place` says where files, programs and cores are."""

    def __init__(self, kind, place):
        self.kind, self.place = kind, place
        self.home = Path(place.data) / kind
        self.child = None
        self.port = None
        self.started = self.start_seconds = None

    def spawn(self, command, log):
        with open(log, "ab") as output:
            self.child = subprocess.Popen(
                ["taskset", "-c", self.place.server_cores, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                cwd=self.home, start_new_session=True,
            )

    @property
    def pid(self):
        # taskset becomes the command, so its process is the server's.
        return self.child.pid

    def address(self):
        return f"127.0.0.1:{self.port}"

    def wait(self, ready, limit):
        started = time.monotonic()
        while not ready():
            if self.child.poll() is not None or time.monotonic() - started > limit:
                self.stop()
                raise RuntimeError(f"{self.kind} did not start; see {self.home}/server.log")
            time.sleep(0.002)

    def terminate(self):
        """Asks for a clean stop, and does not wait for it."""
        self.child.send_signal(signal.SIGTERM)

    def stop(self):
        if self.child is None:
            return
        self.terminate()
        try:
            self.child.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
        self.child = None

    def pause(self):
        """By SIGSTOP: it is there, takes connections, and says nothing."""
        os.killpg(self.child.pid, signal.SIGSTOP)

    def go_on(self):
        os.killpg(self.child.pid, signal.SIGCONT)

    def kill(self):
        """By SIGKILL, as a crash."""
        os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        self.child = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


class Broker(Server):
    """Flumen or Apache Kafka, with the settings in `configuration()`."""
    heap = KAFKA_HEAP

    def __init__(self, kind, place, keep_data=False, settings=()):
        super().__init__(kind, place)
        # Beside those of all brokers of the comparison.
        self.settings = settings
        if not keep_data:
            shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True, exist_ok=True)

    def data(self):
        return self.home / "data"

    def configuration(self):
        common = [f"log.dirs={self.data()}", "num.partitions=1", "auto.create.topics.enable=false", "log.retention.check.interval.ms=1000",
                  "offsets.topic.replication.factor=1", *self.settings]
        if self.kind == "flumen":
            return "\n".join(["node.id=1", f"listeners=PLAINTEXT://127.0.0.1:{self.port}", *common]) + "\n"
        return "\n".join([
            "process.roles=broker,controller", "node.id=1", f"controller.quorum.voters=1@127.0.0.1:{self.controller}",
            f"listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller}",
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}", "controller.listener.names=CONTROLLER",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1", *common]) + "\n"

    def command(self, config):
        if self.kind == "flumen":
            return [str(self.place.flumen), "server", "--config", str(config)]
        tools, clients = self.place.kafka_tools, ROOT / "tests" / "kafka_clients"
        # The options of Kafka's own start script, and a heap.
        return ["java", f"-Xms{self.heap}", f"-Xmx{self.heap}", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
                "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true",
                "-Dtest.log.level=warn", f"-Dlog4j2.configurationFile={clients}/java/log4j2.properties",
                "-cp", f"{tools}/java:{tools}/kafka/libs/*", "TestBroker", str(config), CLUSTER_ID]

    def start(self):
        self.port = self.port or free_port()
        self.controller = getattr(self, "controller", None) or free_port()
        self.data().mkdir(exist_ok=True)
        config = self.home / "server.properties"
        config.write_text(self.configuration())
        # What an earlier process of the same row said is no business of this one.
        (self.home / "server.log").unlink(missing_ok=True)
        self.started = time.monotonic()
        self.spawn(self.command(config), self.home / "server.log")
        self.wait(lambda: answers(self.port), 600)
        self.start_seconds = time.monotonic() - self.started

    def stalls(self):
        """Of each core of a broker that has stopped and tells: its longest stall in µs, and {µs: turns that took less}."""
        found = STALLS.findall((self.home / "server.log").read_text(errors="replace"))
        classes = [dict(map(int, one.split(":")) for one in text.split()) for _, _, text in found]
        return [(int(longest), one) for (_, longest, _), one in zip(found, classes)]


class Node(Broker):
    """One of the brokers of a cluster, which is a controller too."""
    heap = CLUSTER_HEAP

    def __init__(self, cluster, number):
        super().__init__(cluster.kind, cluster.place, settings=cluster.settings)
        self.cluster, self.number = cluster, number
        self.home = cluster.home / str(number)
        self.home.mkdir(parents=True, exist_ok=True)
        self.port, self.controller = free_port(), free_port()

    def configuration(self):
        """The same settings for both kinds."""
        voters = ",".join(f"{node.number}@127.0.0.1:{node.controller}" for node in self.cluster.nodes)
        return "\n".join([
            "process.roles=broker,controller", f"node.id={self.number}", f"controller.quorum.voters={voters}",
            f"listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller}",
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}", "controller.listener.names=CONTROLLER",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT", f"log.dirs={self.data()}",
            "num.partitions=1", "auto.create.topics.enable=false", "log.retention.check.interval.ms=1000",
            "default.replication.factor=3", "min.insync.replicas=2", "offsets.topic.replication.factor=3",
            f"broker.session.timeout.ms={SESSION_SECONDS * 1000}", *self.settings]) + "\n"

    def begin(self):
        """Starts it and does not wait: alone it would not get ready."""
        is_new = not self.data().exists()
        self.data().mkdir(exist_ok=True)
        config = self.home / "server.properties"
        config.write_text(self.configuration())
        (self.home / "server.log").unlink(missing_ok=True)
        # Apache Kafka's program formats by itself.
        if is_new and self.kind == "flumen":
            format_ = [str(self.place.flumen), "storage", "format", "--config", str(config), "--cluster-id", CLUSTER_ID]
            subprocess.run(format_, check=True, stdout=subprocess.DEVNULL)
        self.started = time.monotonic()
        self.spawn(self.command(config), self.home / "server.log")

    def ready(self):
        self.wait(lambda: answers(self.port), 600)
        self.start_seconds = time.monotonic() - self.started

    def start(self):
        self.begin()
        self.ready()


class Cluster:
    """Three brokers of one kind, which share the server's processors."""

    def __init__(self, kind, place, settings=()):
        self.kind, self.place, self.settings = kind, place, settings
        self.home = Path(place.data) / f"{kind}-cluster"
        shutil.rmtree(self.home, ignore_errors=True)
        self.nodes = []
        self.nodes += [Node(self, number) for number in range(1, CLUSTER_NODES + 1)]

    def node(self, number):
        return self.nodes[number - 1]

    def address(self):
        return ",".join(node.address() for node in self.nodes)

    @property
    def pid(self):
        """Of all that run, whose CPU time is to be summed."""
        return [node.pid for node in self.nodes if node.child is not None]

    def configuration(self):
        return self.nodes[0].configuration()

    def __enter__(self):
        for node in self.nodes:
            node.begin()
        for node in self.nodes:
            node.ready()
        return self

    def __exit__(self, *_):
        # All at once: the last ones would wait for a quorum that is no more. One that was paused would not hear of it.
        for node in self.nodes:
            if node.child is not None:
                node.go_on()
                node.terminate()
        for node in self.nodes:
            node.stop()
        shutil.rmtree(self.home, ignore_errors=True)


class Floor(Server):
    """One of the generator's floor programs."""

    def __init__(self, program, place, options=()):
        super().__init__(f"floor-{program}", place)
        self.program, self.options = program, options
        self.home.mkdir(parents=True, exist_ok=True)

    def start(self):
        self.port = free_port()
        self.spawn([str(self.place.generator), "floor", self.program, "--listen", self.address(), "--dir", str(self.home), *self.options],
                   self.home / "server.log")

        def listens():
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return True
            except OSError:
                return False
        self.wait(listens, 60)
