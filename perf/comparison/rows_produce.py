"""Rows about producing at full speed."""
from .row import at_least, at_most, costs, latencies, only, row, times

LARGE = "CPU s/GB", "MB/s", "generator CPU %"
SMALL = "CPU µs/request", "requests/s", "generator CPU %"
# Bytes of a produce request with one record of 100 B.
SINGLE_BYTES = 240

LARGE_GOALS = [at_most("CPU s/GB", times(1.5, "floor")), at_most("CPU s/GB", times(1 / 6, "kafka"))]
SINGLE_GOALS = [at_most("CPU µs/request", times(1, "echo-glommio", plus=4)), at_most("CPU µs/request", times(1 / 3, "kafka"))]
KEYED_GOALS = [at_most("CPU µs/record", times(1 / 3, "kafka")), at_most("ack p99 µs", times(1 / 2, "kafka"))]
# The reactor of each echo.
ECHOES = {"echo-epoll": "epoll", "echo-glommio": "glommio", "echo-paced": "glommio"}


def large(load, kind, acks):
    # 16 partitions, one batch of about 950 KiB in a request. Topics that hold 2 GB in all, and long enough before it counts that retention
    # gives back as many pages as are taken: a page that the machine has not used for a while costs several times as much (the hypervisor
    # has it), and 7 GB of them, as the other rows' topics would hold, are not touched within seconds.
    warm = load.seconds * 2
    if kind == "floor":
        result = load.floor("produce", "floor-produce", ["--connections", 16, "--in-flight", 2, "--request-bytes", 925 * 1040], warm=warm)
    else:
        configs = ["retention.bytes=67108864", "segment.bytes=67108864"]
        result = load.produce(partitions=16, connections=16, each=1, acks=acks, in_flight=2, per_batch=925, size=1024, configs=configs, warm=warm)
    return only(costs(result), *LARGE)


@row("produce, 1 KiB records in large batches, 16 partitions, acks=1; the floor receives, computes a CRC-32C and appends to a fresh file "
     "of each connection, in one thread", LARGE_GOALS, floors=("floor",))
def produce_large_acks_1(load, kind):
    return large(load, kind, "1")


@row("the same with acks=all", LARGE_GOALS, floors=("floor",))
def produce_large_acks_all(load, kind):
    return large(load, kind, "all")


def single(load, kind, connections):
    if kind in ECHOES:
        options = ["--connections", connections, "--in-flight", 1, "--request-bytes", SINGLE_BYTES]
        rate = load.of_flumen("requests/s") if kind == "echo-paced" else None
        result = load.floor("echo", "echo", options + (["--request-rate", rate] if rate else []), ["--on", ECHOES[kind]])
    else:
        result = load.produce(partitions=16, connections=connections, each=1, in_flight=1, per_batch=1, size=100)
        load.remember("requests/s", result["produced"]["requests_per_second"])
    return {**only(costs(result), *SMALL), **latencies(result, "ack")}


@row("100 B records, one a request, 16 connections; the echoes go as fast as they can, but for the one that is paced at Flumen's rate in the "
     "same round, and so pays for going to sleep and for waking the generator, as a server does that is not busy all the time", SINGLE_GOALS,
     floors=tuple(ECHOES), follows=True)
def produce_single_16(load, kind):
    return single(load, kind, 16)


@row("the same with 200 connections", SINGLE_GOALS, floors=tuple(ECHOES), follows=True)
def produce_single_200(load, kind):
    return single(load, kind, 200)


@row("the same with 1,000 connections", SINGLE_GOALS, floors=tuple(ECHOES), follows=True)
def produce_single_1000(load, kind):
    return single(load, kind, 1000)


def keyed(load, connections):
    result = load.produce(partitions=16, connections=connections, in_flight=5, per_batch=4, size=200, more=["--keys", 10_000])
    return {**only(costs(result), "CPU µs/record", *SMALL), **latencies(result, "ack")}


@row("50 keyed producers with small batches", KEYED_GOALS)
def produce_keyed_50(load, kind):
    return keyed(load, 50)


@row("400 keyed producers with small batches", KEYED_GOALS)
def produce_keyed_400(load, kind):
    return keyed(load, 400)


@row("flush before every ack (flush.messages=1), 16 connections", [at_least("requests/s", times(3, "kafka"))])
def produce_flushed(load, kind):
    result = load.produce(partitions=16, connections=16, each=1, acks="all", in_flight=1, per_batch=1, size=1024,
                          configs=["flush.messages=1"])
    return {**only(costs(result), *SMALL), **latencies(result, "ack")}
