"""Rows about a broker's life: start, idleness, memory, recovery."""
import contextlib
import socket
import time

from . import servers
from .row import at_most, fixed, process_cpu, resident, row, times

MEBI = 1 << 20


def start_up(load, partitions):
    with load.broker(all_cores=True) as broker:
        if partitions:
            load.create(broker, partitions)
    with load.broker(keep_data=True, all_cores=True) as broker:
        return {"start to first answer s": broker.start_seconds}


@row("start-up on all processors to the first answer, no topics", [at_most("start to first answer s", fixed(0.05))], own=True)
def start_empty(load, kind):
    return start_up(load, 0)


@row("start-up on all processors to the first answer, 1,000 partitions, after a clean stop", [at_most("start to first answer s", fixed(0.5))], own=True)
def start_1000(load, kind):
    return start_up(load, 1000)


@row("idle, no connections", [at_most("resident MiB", fixed(30)), at_most("CPU %", fixed(0.2))], own=True)
def idle(load, kind):
    with load.broker() as broker:
        time.sleep(load.seconds / 2)
        before, started = process_cpu(broker.pid), time.monotonic()
        time.sleep(load.seconds)
        used, seconds = process_cpu(broker.pid) - before, time.monotonic() - started
        return {"CPU %": 100 * used / seconds, "resident MiB": resident(broker.pid) / MEBI}


def growth(load, broker, change):
    """MiB by which the resident memory is greater some seconds after a change than before it."""
    time.sleep(load.seconds / 4)
    before = resident(broker.pid)
    change()
    time.sleep(load.seconds / 4)
    return (resident(broker.pid) - before) / MEBI


@row("memory of 1,000 partitions with nothing to do", [at_most("resident MiB per 1,000", fixed(10))], own=True)
def memory_partitions(load, kind):
    with load.broker() as broker:
        # What the first topic and the first produce of all take is no partition's.
        load.create(broker, 1)
        return {"resident MiB per 1,000": growth(load, broker, lambda: load.create(broker, 1000))}


@row("memory of 1,000 connections with nothing to do, each of which has asked for ApiVersions once",
     [at_most("resident MiB per 1,000", fixed(20))], own=True)
def memory_connections(load, kind):
    with load.broker() as broker, contextlib.ExitStack() as connections:
        def connect():
            for _ in range(1000):
                connection = connections.enter_context(socket.create_connection(("127.0.0.1", broker.port), timeout=30))
                if not servers.asks(connection):
                    raise RuntimeError("a connection has no answer")
        return {"resident MiB per 1,000": growth(load, broker, connect)}


@row("recovery: 16 partitions written and not flushed (2 GB; 10 GB with --long), SIGKILL, all in the page cache, then from the start until a "
     "produce to each partition is answered; the floor reads the same files and computes their CRC-32C in one thread",
     [at_most("recovered s", times(1.3, "floor")), at_most("recovered s", times(1 / 2, "kafka"))], floors=("floor",), own=True, within=True)
def recovery(load, kind):
    # One segment each, below segment.bytes, because a roll flushes.
    partitions, megabytes = 16, load.size(quick=8, usual=128, long=640)
    with load.broker() as broker:
        load.running = broker
        topic = load.fill(partitions, partitions * megabytes, connections=partitions, each=1)
        broker.kill()
    files = sorted((broker.home / "data").glob(f"{topic}-*/*.log"))
    floor = load.checksum(files)
    load.also("floor", {"recovered s": floor["seconds"], "GB": floor["bytes"] / 1e9})
    with load.broker(keep_data=True) as broker:
        load.running = broker
        while not load.each_partition_takes_a_record(topic, partitions):
            if time.monotonic() - broker.started > 300:
                raise RuntimeError("the partitions do not come back")
        return {"recovered s": time.monotonic() - broker.started, "first answer s": broker.start_seconds, "GB": floor["bytes"] / 1e9}
