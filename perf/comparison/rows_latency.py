"""Rows about latency at a fixed rate, and the echo at the same rate."""
import statistics
from pathlib import Path

from .row import Goal, at_most, costs, labelled, latencies, only, row, times

PACED_GOALS = [at_most("ack p50 µs", times(1, "kafka")), at_most("ack p99 µs", times(1 / 5, "kafka")),
               at_most("ack p99.9 µs", times(1 / 10, "kafka"), times(3, "echo-epoll"))]
END_TO_END_GOALS = [at_most("end_to_end p99 µs", times(1 / 3, "kafka")),
                    at_most("end_to_end p99.9 µs", times(1 / 10, "kafka"), times(3, "echo-epoll"))]
# On epoll, whose tail is the shorter one: glommio may park with work to do until its next timer, which the broker knows and prevents.
ECHO = ("echo-epoll",)
# Bytes of a produce request with ten records of 1 KiB.
TEN_BYTES = 10 * 1040 + 140


def echo(load, connections, size, rate, all_cores=False, label=None):
    return load.floor("echo", "echo", ["--connections", connections, "--in-flight", 5, "--request-bytes", size, "--request-rate", rate],
                      ["--on", "epoll"], all_cores=all_cores, label=label)


@row("paced produce, 5,000 records of 100 B a second, one a request; the echo has the same rate", PACED_GOALS, floors=ECHO)
def produce_paced(load, kind):
    if kind in ECHO:
        result = echo(load, 16, 240, 5_000)
    else:
        result = load.produce(partitions=16, connections=16, each=1, in_flight=5, per_batch=1, size=100, more=["--rate", 5_000])
    return {**latencies(result, "ack"), **only(costs(result), "CPU µs/request")}


CORES = "same core", "cross core"
# Topics of one partition that are produced to one after the other, until each core has had so many; about half are on either.
EACH_CORE, CORE_TOPICS = 2, 16


def parks(pid):
    """How often each of Flumen's cores has gone to sleep so far, its helpers included, which have nothing to do here."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name, _, core = (task / "comm").read_text().strip().rpartition("-")
        if name == "flumen":
            status = (task / "status").read_text().splitlines()
            times_parked = int(next(line.split()[1] for line in status if line.startswith("voluntary_ctxt_switches")))
            found[core] = found.get(core, 0) + times_parked
    return found


def cores_at_work(before, after):
    """How many of the cores woke up about as often as the one that did most."""
    woken = [after[core] - before[core] for core in before]
    return sum(1 for count in woken if count > max(woken) / 3)


@row("paced produce as above on both processors, the generator beside the broker, one connection and one partition at a time: those "
     "whose partition is on the connection's core, where only that core wakes up, and those whose is on the other; for Apache Kafka, "
     "which has no such cores, all of them stand in both places",
     [Goal(f"{core}: {goal.figure}", goal.sign, goal.limits) for core in CORES for goal in PACED_GOALS], floors=ECHO, own=True)
def produce_paced_two_cores(load, kind):
    if kind in ECHO:
        # It has one thread, which the kernel puts where it likes, as it does with those of Apache Kafka.
        figures = latencies(echo(load, 1, 240, 5_000, all_cores=True), "ack", names=("p50", "p99", "p99.9"))
        return {name: value for core in CORES for name, value in labelled(core, figures).items()}
    found = {core: [] for core in CORES}
    with load.broker(all_cores=True) as broker:
        load.running = broker
        load.warm_own()
        for _ in range(CORE_TOPICS):
            if min(len(figures) for figures in found.values()) >= EACH_CORE:
                break
            options = load.target(load.topic(), 1) + ["--connections", 1, "--in-flight", 5, "--records-per-batch", 1, "--record-size", 100]
            before = parks(broker.pid)
            result = load.generator("produce", options + ["--rate", 5_000], broker.pid, seconds=load.seconds / 4, label="one partition")
            woken = cores_at_work(before, parks(broker.pid)) if before else 0
            for core in CORES if kind == "kafka" else CORES[woken - 1:woken]:
                found[core].append(latencies(result, "ack", names=("p50", "p99", "p99.9")))
    medians = {}
    for core, figures in found.items():
        if not figures:
            raise RuntimeError(f"none of {CORE_TOPICS} partitions is on the {core}")
        medians |= labelled(core, {name: statistics.median(one[name] for one in figures) for name in figures[0]})
    return medians


def capacity(load):
    """Records per second in a closed loop, of the load that the end-to-end rows pace."""
    return load.produce(partitions=16, connections=16, each=1, in_flight=5, per_batch=10, size=1024)["produced"]["records_per_second"]


def share_of_capacity(load, kind, share):
    """Paced at a share of what Apache Kafka takes: all get the same rate."""
    rate = share * load.memory["capacity"]
    if kind in ECHO:
        result = echo(load, 16, TEN_BYTES, rate / 10)
        return {**latencies(result, "ack", shown="end_to_end"), "unsent": result["unsent"]}
    result = load.e2e(partitions=16, consumers=2, assign="share", connections=16, per_batch=10, size=1024, rate=rate)
    return {**latencies(result, "end_to_end"), "records/s": result["produced"]["records_per_second"], "unsent": result["unsent"]}


@row("end to end at 20 % of what Apache Kafka can take; the echo returns as many requests of the same size", END_TO_END_GOALS, floors=ECHO,
     share_of="capacity")
def end_to_end_20(load, kind):
    return share_of_capacity(load, kind, 0.2)


@row("end to end at 50 % of what Apache Kafka can take; the echo returns as many requests of the same size", END_TO_END_GOALS, floors=ECHO,
     share_of="capacity")
def end_to_end_50(load, kind):
    return share_of_capacity(load, kind, 0.5)
