"""Rows about three brokers: of Flumen, or of Apache Kafka with 1 GiB of heap each, on the server's processors; never both at once.

All nodes are brokers and controllers, topics have three replicas of which two have to be in sync, acks=all, and nothing is flushed before an
ack, which is Kafka's default. The generator follows leaders as a good client does: see `flumen-bench outage`.
"""
import statistics
import time

from .row import at_most, costs, fixed, labelled, latencies, only, row, times
from .servers import SESSION_SECONDS

PARTITIONS = 15
THIRD = times(1 / 3, "kafka")
# Files of 15 partitions three times over.
SMALL_LOGS = ["retention.bytes=33554432", "segment.bytes=33554432"]
# Of the outages: partitions, records a second of each, and seconds before and after what happens.
OUTAGE_PARTITIONS, OUTAGE_RATE, BEFORE, AFTER = 6, 100, 2, 3
# A broker that says so often that it is there is missed at most so much earlier than a session timeout after its end.
HEARTBEAT = ["broker.heartbeat.interval.ms=100"]
# Longest that a failover may take, in seconds.
FAILOVER = 2 * SESSION_SECONDS


def produce(load, per_batch, size=1024, rate=None, in_flight=2, seconds=None, label=None):
    options = load.target(load.topic(), PARTITIONS, [*SMALL_LOGS, "file.delete.delay.ms=1000"])
    options += ["--connections", PARTITIONS, "--partitions-per-connection", 1, "--in-flight", in_flight, "--acks", "all"]
    options += ["--records-per-batch", per_batch, "--record-size", size] + (["--rate", rate] if rate else [])
    return load.generator("produce", options, load.running.pid, seconds=seconds, label=label)


def warm(load, seconds, **options):
    """Lets the JVMs compile what the row needs; Flumen has nothing to compile, and fills its page cache."""
    produce(load, seconds=seconds if load.kind == "kafka" else load.seconds, label="warm-up", **options)


SMALL = {"per_batch": 10, "in_flight": 5}
LARGE = {"per_batch": 925}


def cluster_capacity(load, warm_seconds):
    """Records per second that three brokers take in a closed loop, of the load that the paced row has a share of."""
    with load.cluster():
        warm(load, warm_seconds, **SMALL)
        return produce(load, **SMALL)["produced"]["records_per_second"]


@row("three brokers, 3 replicas, acks=all: 1 KiB records in large batches to 15 partitions; the CPU time of all three brokers for each GB that was "
     "produced once", [at_most("CPU s/GB", THIRD)], own=True)
def cluster_large(load, kind):
    with load.cluster():
        warm(load, 4 * load.seconds, **LARGE)
        result = produce(load, **LARGE)
        return {**only(costs(result), "CPU s/GB", "MB/s", "generator CPU %"), **latencies(result, "ack")}


@row("three brokers, 3 replicas, acks=all, batches of ten records of 1 KiB, paced at 20 % of what three brokers of Apache Kafka can take",
     [at_most("ack p99 µs", THIRD)], own=True, share_of="cluster capacity")
def cluster_paced(load, kind):
    rate = 0.2 * load.memory["cluster capacity"]
    with load.cluster():
        warm(load, 4 * load.seconds, **SMALL)
        result = produce(load, rate=rate, **SMALL)
        return {**latencies(result, "ack"), **only(costs(result), "CPU µs/request", "records/s"), "unsent": result["unsent"]}


def outage(load, what, seconds, label=None):
    """A paced producer of single records to each of six partitions while `what` happens: its result, and when that began."""
    options = load.target(load.topic(), OUTAGE_PARTITIONS) + ["--rate", OUTAGE_RATE, "--duration", BEFORE + seconds + AFTER]

    def work():
        time.sleep(BEFORE)
        began = time.monotonic()
        what()
        time.sleep(max(0, began + seconds - time.monotonic()))
        return began
    return load.beside("outage", options, work, label=label)


def longest(result, began):
    """The longest time in ms without an acknowledgement of a partition that was not over when it began."""
    gaps = [gap for partition in result["partitions"] for gap in partition["gaps"]]
    return max((gap["ms"] for gap in gaps if gap["from"] + gap["ms"] / 1e3 >= began), default=0)


def victim(load, is_controller):
    """The node that is the active controller, or one that is not."""
    active = load.ask("controller", [])["controller"]
    return load.running.node(active if is_controller else active % 3 + 1)


def in_sync(load, topic):
    return load.ask("in-sync", ["--topic", topic])


def errors(result):
    return sum(result["application_errors"].values())


def all_back(load, result):
    """Waits until the topic of an outage has all its replicas again."""
    in_sync(load, result["parameters"]["topic"]["topic"])


def outages(load, turns, seconds, happen, repair):
    """So many outages of a broker that is not the active controller, and of one that is: of each the figures of all turns."""
    found = {"broker": [], "controller": []}
    for _ in range(turns):
        for whose, all_found in found.items():
            node = victim(load, whose == "controller")
            result, began = outage(load, lambda: happen(node), seconds, label=whose)
            repair(node)
            all_back(load, result)
            all_found.append({"longest outage ms": longest(result, began), "application errors": errors(result),
                              "sent again": sum(partition["retries"] for partition in result["partitions"])})
    return {whose: {name: statistics.median(one[name] for one in all_found) if name != "application errors" else
                    sum(one[name] for one in all_found) for name in all_found[0]} for whose, all_found in found.items()}


def both(found):
    return labelled("broker", found["broker"]) | labelled("controller", found["controller"])


def turns(load):
    return load.size(quick=1, usual=3, long=5)


def goals(figure, *limits):
    return [at_most(f"{whose}: {figure}", *limits) for whose in ("broker", "controller")]


@row(f"three brokers: one is stopped by SIGSTOP, so that only the session timeout of {SESSION_SECONDS} s decides, while each of 6 partitions gets "
     "100 records a second; the longest time without an acknowledgement of a partition, less the session timeout. Brokers send heartbeats ten "
     "times a second, so that it makes little difference when the last one was", [at_most("beyond the session timeout ms", THIRD),
                                                                                  at_most("application errors", fixed(0))], own=True)
def cluster_silent(load, kind):
    with load.cluster(settings=HEARTBEAT):
        warm(load, 2 * load.seconds, **SMALL)
        beyond, seen = [], 0
        for _ in range(turns(load)):
            node = victim(load, is_controller=False)
            result, began = outage(load, node.pause, FAILOVER, label="silent")
            node.go_on()
            all_back(load, result)
            beyond.append(longest(result, began) - SESSION_SECONDS * 1e3)
            seen += errors(result)
        return {"beyond the session timeout ms": statistics.median(beyond), "application errors": seen}


@row("three brokers: one ends by SIGKILL, and its port refuses connections, under the load of the row before; a broker that is not the active "
     "controller, and one that is", goals("longest outage ms", fixed(500)) + goals("application errors", fixed(0)), own=True)
def cluster_killed(load, kind):
    with load.cluster():
        warm(load, 2 * load.seconds, **SMALL)
        return both(outages(load, turns(load), FAILOVER, lambda node: node.kill(), lambda node: node.start()))


@row("three brokers: one is stopped cleanly by SIGTERM, under the load of the rows before; a broker that is not the active controller, and one that "
     "is", goals("longest outage ms", fixed(50)) + goals("application errors", fixed(0)), own=True)
def cluster_stopped(load, kind):
    with load.cluster():
        warm(load, 2 * load.seconds, **SMALL)
        return both(outages(load, turns(load), FAILOVER, lambda node: node.stop(), lambda node: node.start()))


def one_record_each(load, topic, partitions):
    """A record to each partition."""
    options = load.target(topic) + ["--connections", 3, "--batches-per-request", 50, "--records-per-batch", 1, "--record-size", 100]
    load.generator("produce", [*options, "--acks", "all", "--records", partitions], timed=False, label="set-up")


@row("three brokers on all processors, 2,000 partitions of 3 replicas: one is stopped cleanly, each partition gets a record, and it is started; "
     "then all three are stopped and started. From the start of the processes until all replicas of all partitions are in sync",
     [at_most("one: in sync s", THIRD), at_most("all: in sync s", THIRD)], own=True)
def cluster_restart_2000(load, kind):
    partitions = load.size(quick=200, usual=2000, long=2000)
    with load.cluster(all_cores=True) as cluster:
        topic = load.topic()
        load.generator("produce", load.target(topic, partitions) + ["--records", 1, "--records-per-batch", 1], timed=False, label="set-up")
        one_record_each(load, topic, partitions)
        in_sync(load, topic)
        node = victim(load, is_controller=False)
        node.stop()
        one_record_each(load, topic, partitions)
        node.start()
        one = in_sync(load, topic)["at"] - node.started
        for node in cluster.nodes:
            node.terminate()
        for node in cluster.nodes:
            node.stop()
        for node in cluster.nodes:
            node.begin()
        first = min(node.started for node in cluster.nodes)
        for node in cluster.nodes:
            node.ready()
        return {"one: in sync s": one, "all: in sync s": in_sync(load, topic)["at"] - first}


@row("three brokers on all processors, two topics of 5,000 partitions with 2 replicas: one reassignment turns the order of the replicas of all of them round, which "
     "moves no data and no leader; from the request until the last of the brokers tells of all partitions so",
     [at_most("told by all s", fixed(1))], own=True)
def cluster_metadata_10000(load, kind):
    # Kafka takes no request that makes more than 10,000 records, of which a topic is one too.
    partitions = load.size(quick=250, usual=5_000, long=5_000)
    with load.cluster(all_cores=True, replicas=2):
        topics, started = [load.topic() for _ in range(2)], time.monotonic()
        for topic in topics:
            load.generator("produce", load.target(topic, partitions) + ["--records", 1, "--records-per-batch", 1], timed=False, label="set-up")
        named = [option for topic in topics for option in ("--topic", topic)]

        def reorder(label=None):
            for topic in topics:
                in_sync(load, topic)
            return load.ask("reorder", named, label=label)
        for topic in topics:
            in_sync(load, topic)
        created = time.monotonic() - started
        # The first times the JVM has compiled nothing of this.
        for _ in range(3 if kind == "kafka" else 1):
            reorder(label="warm-up")
        result = reorder()
        return {"told by all s": result["told_seconds"], "answered s": result["answered_seconds"], "created s": created}
