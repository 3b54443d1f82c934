"""Rows about what brokers do beside records: groups, commits, metadata, compaction.

Both brokers have Kafka's default settings for groups. They wait 3 s for more members of an empty group; in the rows one member of each group is
there before, so that this is not measured.
"""
from .row import at_most, costs, cpu, labelled, latencies, only, row, times
from .rows_latency import ECHO, echo

HALF = times(1 / 2, "kafka")
BESIDE_GOAL = at_most("beside: ack p99 µs", times(1.2, "flumen", figure="without: ack p99 µs"))
ACK = ("p50", "p99", "p99.9")
# Milliseconds between two heartbeats of a member: the default of Kafka's clients.
HEARTBEAT = 3_000


def acks(load, label, topic, options):
    """A producer's latencies."""
    result = load.generator("produce", load.target(topic) + options, load.running.pid, label=label)
    figures = latencies(result, "ack", names=ACK) | only(costs(result), "records/s")
    return labelled(label, figures)


def paced(load, label, topic, echoed):
    """A producer of 5,000 records of 100 B a second, one a request; and, in Flumen's turn, an echo at that rate on the same processor."""
    options = ["--connections", 16, "--partitions-per-connection", 1, "--in-flight", 5, "--records-per-batch", 1, "--record-size", 100]
    produced = acks(load, label, topic, options + ["--rate", 5_000])
    if load.kind == "flumen":
        echoed |= labelled(label, latencies(echo(load, 16, 240, 5_000, label=f"echo {label}"), "ack", names=ACK))
    return produced


def saturated(load, label, topic):
    """A producer at full speed."""
    options = ["--connections", 16, "--partitions-per-connection", 1, "--in-flight", 1, "--records-per-batch", 10, "--record-size", 1024]
    return acks(load, label, topic, options)


def covering(load, generators=1):
    """Seconds for which a load has to go on so that so many generators' warm-up, seconds and end are beside it."""
    return generators * (1.25 * load.seconds + 4)


def warmed(load, broker):
    """The running broker, after the usual loads in a shorter form."""
    load.running = broker
    if load.kind == "kafka":
        load.warm(load.seconds)


def members(load, name, groups, count, partitions, first_heartbeat):
    """Options of so many groups of so many members."""
    topic = load.target(load.topic(), partitions)
    return [*topic, "--group", name, "--groups", groups, "--members", count, "--first-heartbeat-ms", first_heartbeat]


def stage(result, name, shown):
    """What a change in all groups took."""
    found = result["stages"][name]
    used = found["broker_cpu_seconds"]
    return labelled(shown, {
        "stable ms": found["seconds"] * 1e3, "last JoinGroup to stable ms": found["rebalance_us"]["max"] / 1e3,
        "CPU ms": (used["user"] + used["system"]) * 1e3,
    })


def stages(result, joined):
    """All changes, of which the first is shown under that name."""
    return stage(result, "joined", joined) | stage(result, "left", "one leaves") | stage(result, "returned", "one joins")


def beats(result):
    """What heartbeats cost while nobody comes or goes."""
    requests = result["produced"]["requests"]
    return {"CPU %": 100 * cpu(result) / result["seconds"], "CPU µs/heartbeat": cpu(result) * 1e6 / requests,
            "heartbeats/s": requests / result["seconds"], **latencies(result, "ack", shown="heartbeat", names=ACK)}


@row("1,000 groups of 10 members of the classic protocol, each with a connection of its own and a heartbeat every 3 s: one of each group is there "
     "(it has a heartbeat every 0.2 s meanwhile), the other nine join, all 9,000 at once; then one of each leaves, and joins again, of which "
     "all others learn from their next heartbeat; then nothing but heartbeats, whose CPU is told; then a paced producer (5,000 records of 100 B a "
     "second, one a request) beside them, and the same without; and an echo of as many requests on Flumen's processor, while Flumen has those groups "
     "and without, which is what sharing two processors makes of anybody's latency",
     [at_most("CPU %", HALF), at_most("nine join: stable ms", HALF), at_most("nine join: CPU ms", HALF), BESIDE_GOAL],
     floors=ECHO, own=True, within=True)
def groups_1000x10(load, kind):
    groups = load.size(quick=20, usual=1_000, long=1_000)
    with load.broker() as broker:
        warmed(load, broker)
        if kind == "kafka":
            options = members(load, "warm-up", max(1, groups // 10), 10, 20, 100) + ["--heartbeat-ms", 500, "--duration", 1]
            load.generator("groups", options, timed=False, label="warm-up")
        topic = load.new_topic(16)
        echoed = {}
        figures = paced(load, "without", topic, echoed)
        options = members(load, "groups", groups, 10, 20, 200) + ["--heartbeat-ms", HEARTBEAT, "--duration", load.seconds, "--warmup", 1]
        options += ["--hold", covering(load, 2), "--broker-pid", broker.pid]
        result, beside = load.beside("groups", options, lambda: paced(load, "beside", topic, echoed), held=True, label="groups")
    if echoed:
        load.also(*ECHO, echoed)
    return beats(result) | stages(result, "nine join") | figures | beside


@row("a group of 500 members of the classic protocol, each with a connection of its own and a heartbeat every 3 s: one is there (it has a heartbeat "
     "every 20 ms meanwhile), 499 join at once; then one leaves, and joins again, of which all others learn from their next heartbeat, so that "
     "their last JoinGroup is what the brokers can be judged by",
     [at_most("499 join: stable ms", HALF), at_most("499 join: CPU ms", HALF), at_most("one leaves: last JoinGroup to stable ms", HALF),
      at_most("one joins: last JoinGroup to stable ms", HALF), at_most("one joins: CPU ms", HALF)], own=True)
def group_of_500(load, kind):
    count = load.size(quick=50, usual=500, long=500)
    with load.broker() as broker:
        warmed(load, broker)
        if kind == "kafka":
            options = members(load, "warm-up", 1, count, count, 20) + ["--heartbeat-ms", 500, "--duration", 1]
            load.generator("groups", options, timed=False, label="warm-up")
        options = members(load, "group", 1, count, count, 20) + ["--heartbeat-ms", HEARTBEAT]
        result = load.generator("groups", options, broker.pid, label="group")
    return stages(result, "499 join") | beats(result)


@row("1,000 commits a second of one partition each, by 100 groups without members over 10 connections: by themselves, which tells their CPU; then "
     "beside a producer at full speed (16 connections, ten records of 1 KiB a request), and that without them",
     [at_most("CPU µs/commit", HALF), BESIDE_GOAL], own=True)
def commits_beside_producer(load, kind):
    with load.broker() as broker:
        warmed(load, broker)
        topic = load.new_topic(16)
        options = load.target(topic) + ["--groups", 100, "--connections", 10, "--rate", 1_000]
        alone = load.generator("commits", options, broker.pid, warm=load.seconds, label="alone")
        figures = {"CPU µs/commit": cpu(alone) * 1e6 / alone["produced"]["requests"], **latencies(alone, "ack", shown="commit", names=ACK)}

        def without():
            return saturated(load, "without", topic)

        def beside():
            long = ["--duration", covering(load)]
            commits, acked = load.beside("commits", options + long, lambda: saturated(load, "beside", topic), label="commits beside")
            return acked | labelled("beside", latencies(commits, "ack", shown="commit", names=ACK))
        found = {}
        for part in load.in_turn([without, beside]):
            found |= part()
    return figures | dict(sorted(found.items()))


@row("metadata of 10,000 partitions in 100 topics: all of it, as fast as the broker answers on two connections, which tells the CPU of an answer; then "
     "20 times a second beside a paced producer (5,000 records of 100 B a second, one a request), and that without it; the echo as among groups",
     [at_most("CPU ms/answer", HALF), BESIDE_GOAL], floors=ECHO, own=True, within=True)
def metadata_10000(load, kind):
    topics = load.size(quick=5, usual=100, long=100)
    with load.broker() as broker:
        target = ["--bootstrap", broker.address()]
        load.running = broker
        load.generator("metadata", target + ["--create-topics", topics, "--partitions", 100, "--duration", 0.5], timed=False, label="set-up")
        warmed(load, broker)
        topic = load.new_topic(16)
        result = load.generator("metadata", target + ["--connections", 2], broker.pid, warm=load.seconds, label="alone")
        consumed = result["consumed"]
        figures = {
            "CPU ms/answer": cpu(result) * 1e3 / consumed["requests"], "answers/s": consumed["requests"] / result["seconds"],
            "KB/answer": consumed["bytes"] / consumed["requests"] / 1e3, "partitions": consumed["records"] / consumed["requests"],
        }
        echoed = {}
        figures |= paced(load, "without", topic, echoed)
        options = target + ["--connections", 2, "--request-rate", 20, "--duration", covering(load, 2)]
        asked, beside = load.beside("metadata", options, lambda: paced(load, "beside", topic, echoed), label="metadata beside")
    if echoed:
        load.also(*ECHO, echoed)
    return figures | beside | labelled("beside", latencies(asked, "ack", shown="metadata", names=("p50", "p99")))


def compacted(load, megabytes, segment, label):
    """Fills a topic that is not compacted, and then lets it be: the result."""
    topic, broker = load.topic(), load.running
    configs = ("cleanup.policy=compact", "min.cleanable.dirty.ratio=1", f"segment.bytes={segment}")
    options = load.target(topic, 4, configs) + ["--connections", 4, "--partitions-per-connection", 1, "--records-per-batch", 100]
    options += ["--record-size", 1024, "--keys", 50_000, "--stamped", "--records", megabytes * 1024]
    load.generator("produce", options, timed=False, label="set-up")
    options = ["--bootstrap", broker.address(), "--topic", topic, "--log-dir", broker.data()]
    return load.generator("compaction", options, broker.pid, timed=False, label=label)


@row("compaction of 1 GB of records of 1 KiB with 50,000 keys in four partitions, segments of 32 MiB, all of it dirty, with nothing else to do and without "
     "a limit of bytes per second: from when min.cleanable.dirty.ratio allows it until the checkpoint has it; what is left is read and "
     "checked", [at_most("CPU s/GB", HALF)], own=True)
def compaction(load, kind):
    megabytes = load.size(quick=64, usual=1_000, long=1_000)
    segment = load.size(quick=2 << 20, usual=32 << 20, long=32 << 20)
    with load.broker(settings=("log.cleaner.backoff.ms=100",)) as broker:
        load.running = broker
        if kind == "kafka":
            compacted(load, megabytes // 4, segment, "warm-up")
        result = compacted(load, megabytes, segment, "compaction")
    dirty, used = result["dirty_bytes"] / 1e9, cpu(result)
    figures = {"CPU s/GB": used / dirty, "dirty GB/s": dirty / result["seconds"], "CPU %": 100 * used / result["seconds"],
               "dirty GB": dirty, "clean GB": result["clean_bytes"] / 1e9}
    # A quick one may take less than a tick of the kernel.
    return figures | ({"dirty GB/CPU s": dirty / used} if used else {})
