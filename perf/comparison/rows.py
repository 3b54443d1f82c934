"""The rows of the comparison: each is one function that loads one server and returns its figures.

A row gets a `Load` (see main.py) and the kind of server: `flumen`, `kafka`, or a floor. Figures are named with their unit; of all
of them less is better, unless the name ends in `/s`.
"""
import os
import time

ROWS = {}
KINDS = ("flumen", "kafka")


class Row:
    def __init__(self, function, goal, floor, own):
        self.name = function.__name__.replace("_", "-")
        self.function, self.goal = function, goal
        # What the floor of this row is called in the table, if it has one.
        self.floor = floor
        # Whether it starts and stops the broker itself.
        self.own = own
        # Whether its rate is a share of Apache Kafka's.
        self.paced_by_capacity = function.__name__.startswith("end_to_end")

    def kinds(self):
        return KINDS + ((self.floor,) if self.floor else ())


def row(goal, floor=None, own=False):
    def register(function):
        made = Row(function, goal, floor, own)
        ROWS[made.name] = made
        return function
    return register


def cpu(result):
    used = result["broker"]["cpu_seconds"]
    return used["user"] + used["system"]


def costs(result):
    """CPU of the server for what it moved, and how much that was."""
    requests = result["produced"]["requests"] + result["consumed"]["requests"]
    gigabytes = (result["produced"]["bytes"] + result["consumed"]["bytes"]) / 1e9
    own = result["own_cpu_seconds"]
    if not requests or not gigabytes:
        raise RuntimeError("nothing was answered in the measured time")
    return {
        "CPU s/GB": cpu(result) / gigabytes, "CPU µs/request": cpu(result) * 1e6 / requests, "MB/s": gigabytes * 1e3 / result["seconds"],
        "requests/s": requests / result["seconds"], "generator CPU %": 100 * (own["user"] + own["system"]) / result["seconds"],
    }


def latencies(result, metric):
    found = result["latency_us"][metric]
    return {f"{metric} {name} µs": found[key] for name, key in [("p50", "p50"), ("p99", "p99"), ("p99.9", "p99_9"), ("max", "max")]}


def only(figures, *names):
    return {name: value for name, value in figures.items() if name in names}


LARGE = "CPU s/GB", "MB/s", "generator CPU %"
SMALL = "CPU µs/request", "requests/s", "generator CPU %"


def large(load, kind, acks):
    # 16 partitions, one batch of about 950 KiB in a request.
    if kind == "floor":
        result = load.floor("produce", "floor-produce", ["--connections", 16, "--in-flight", 2, "--request-bytes", 925 * 1040])
    else:
        result = load.produce(partitions=16, connections=16, each=1, acks=acks, in_flight=2, per_batch=925, size=1024)
    return only(costs(result), *LARGE)


@row("produce, 1 KiB records in large batches, 16 partitions, acks=1", floor="floor")
def produce_large_acks_1(load, kind):
    return large(load, kind, "1")


@row("the same with acks=all", floor="floor")
def produce_large_acks_all(load, kind):
    return large(load, kind, "all")


def single(load, kind, connections):
    if kind == "floor":
        result = load.floor("echo", "echo", ["--connections", connections, "--in-flight", 1, "--request-bytes", 240])
    else:
        result = load.produce(partitions=16, connections=connections, each=1, in_flight=1, per_batch=1, size=100)
    return {**only(costs(result), *SMALL), **latencies(result, "ack")}


@row("100 B records, one a request, 16 connections", floor="floor")
def produce_single_16(load, kind):
    return single(load, kind, 16)


@row("the same with 200 connections", floor="floor")
def produce_single_200(load, kind):
    return single(load, kind, 200)


@row("the same with 1,000 connections", floor="floor")
def produce_single_1000(load, kind):
    return single(load, kind, 1000)


def keyed(load, connections):
    result = load.produce(partitions=16, connections=connections, in_flight=5, per_batch=4, size=200, more=["--keys", 10_000])
    return {**only(costs(result), *SMALL, "records/s"), **latencies(result, "ack")}


@row("50 keyed producers with small batches")
def produce_keyed_50(load, kind):
    return keyed(load, 50)


@row("400 keyed producers with small batches")
def produce_keyed_400(load, kind):
    return keyed(load, 400)


@row("flush before every ack (flush.messages=1), 16 connections")
def produce_flushed(load, kind):
    result = load.produce(partitions=16, connections=16, each=1, acks="all", in_flight=1, per_batch=1, size=1024,
                          configs=["flush.messages=1"])
    return {**only(costs(result), *SMALL), **latencies(result, "ack")}


@row("fetch from the page cache", floor="floor")
def fetch_cached(load, kind):
    if kind == "floor":
        result = load.floor("fetch", "floor-fetch", ["--connections", 4, "--in-flight", 1, "--answer-bytes", 1 << 20],
                            ["--answer-bytes", 1 << 20])
    else:
        topic = load.fill(partitions=4, megabytes=256)
        result = load.consume(topic, ["--consumers", 4, "--rewind", "--max-bytes", 1 << 20])
    return only(costs(result), *LARGE)


@row("20 consumers at the tail of one topic, 5,000 records of 1 KiB a second")
def tail_of_20(load, kind):
    result = load.e2e(partitions=1, consumers=20, assign="all", connections=16, per_batch=1, size=1024, rate=5_000)
    return {**only(costs(result), "CPU s/GB", "MB/s", "generator CPU %"), **latencies(result, "end_to_end")}


@row("paced produce, 5,000 records of 100 B a second, one a request")
def produce_paced(load, kind):
    result = load.produce(partitions=16, connections=16, each=1, in_flight=5, per_batch=1, size=100, more=["--rate", 5_000])
    return {**latencies(result, "ack"), **only(costs(result), "CPU µs/request")}


def capacity(load):
    """Records per second in a closed loop, of the load that the end-to-end rows pace."""
    return load.produce(partitions=16, connections=16, each=1, in_flight=5, per_batch=10, size=1024)["produced"]["records_per_second"]


def share_of_capacity(load, share):
    """Paced at a share of what Apache Kafka takes: both brokers get the same rate."""
    rate = share * load.memory["capacity"]
    result = load.e2e(partitions=16, consumers=2, assign="share", connections=16, per_batch=10, size=1024, rate=rate)
    return {**latencies(result, "end_to_end"), "records/s": result["produced"]["records_per_second"], "unsent": result["unsent"]}


@row("end to end at 20 % of what Apache Kafka can take")
def end_to_end_20(load, kind):
    return share_of_capacity(load, 0.2)


@row("end to end at 50 % of what Apache Kafka can take")
def end_to_end_50(load, kind):
    return share_of_capacity(load, 0.5)


def start_up(load, partitions):
    with load.broker() as broker:
        if partitions:
            load.create(broker, partitions)
    with load.broker(keep_data=True) as broker:
        return {"start to first answer s": broker.start_seconds}


@row("start-up to the first answer, no topics", own=True)
def start_empty(load, kind):
    return start_up(load, 0)


@row("start-up to the first answer, 1,000 partitions, after a clean stop", own=True)
def start_1000(load, kind):
    return start_up(load, 1000)


@row("idle, no connections", own=True)
def idle(load, kind):
    with load.broker() as broker:
        time.sleep(load.seconds / 2)
        before, started = process_cpu(broker.pid), time.monotonic()
        time.sleep(load.seconds)
        used, seconds = process_cpu(broker.pid) - before, time.monotonic() - started
        return {"CPU %": 100 * used / seconds, "resident MiB": resident(broker.pid) / 2**20}


def process_cpu(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
