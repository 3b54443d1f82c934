"""Rows about the disk: what it does to others when it is cold, full speed or being cleaned."""
import os
import re
import shutil
import statistics
import subprocess
import threading

from .row import at_most, costs, fixed, labelled, latencies, only, row, times

STALL = "longest stall of a core ms"
HOT = ("p50", "p99", "p99.9", "max")
# A line of the generator's progress.
PROGRESS = re.compile(r"^ *[\d.]+ s Measured  consumed .*? rec/s ([\d.]+) MB/s", re.MULTILINE)
# Bytes that a second of writing at full speed takes of the disk, at most.
FULL_SPEED = 2 << 30


@row("paced produce, 20 MB/s of 1 KiB records in batches of ten, 2 partitions, while retention.bytes=16 MiB and segment.bytes=8 MiB are "
     "crossed all the time, beside the same without; ten minutes each with --long",
     [at_most("crossed: ack p99.9 µs", times(1, "flumen", figure="without: ack p99.9 µs"))])
def retention_boundary(load, kind):
    crossed = ("retention.bytes=16777216", "segment.bytes=8388608", "file.delete.delay.ms=1000")
    loads = [("without", load.place.topic_configs), ("crossed", crossed)]
    figures = {}
    for label, configs in load.in_turn(loads):
        options = load.target(load.topic(), 2, configs) + ["--connections", 8, "--partitions-per-connection", 1, "--in-flight", 5]
        options += ["--records-per-batch", 10, "--record-size", 1024, "--rate", 20_000]
        seconds = 600 if load.place.long else load.seconds
        result = load.generator("produce", options, load.running.pid, seconds=seconds, label=label)
        figures |= labelled(label, latencies(result, "ack", names=HOT))
    return dict(sorted(figures.items(), key=lambda item: not item[0].startswith("crossed")))


class Reader:
    """Reads a topic from its start to its end over and over, each time after `files` have been dropped from the page cache.

    It runs where the generator runs, but only when that has nothing to do, so that what the generator measures is the broker.
    """

    def __init__(self, load, topic, files=()):
        self.load, self.topic, self.files = load, topic, files
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.read)
        self.error, self.child = None, None
        # What it says every second of how much it has read.
        self.log = load.place.scratch / "reader.log"
        self.log.unlink(missing_ok=True)

    def read(self):
        # Of this thread, and so of what it starts.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        command = self.load.command("consume", self.load.target(self.topic) + ["--until-end", "--consumers", 1])
        command.remove("--quiet")
        while not self.ended.is_set():
            drop_from_cache(self.files)
            with open(self.log, "ab") as log:
                self.child = subprocess.Popen(command, stdout=log, stderr=log)
                code = self.child.wait()
            if code != 0 and not self.ended.is_set():
                self.error = f"the reader failed: {self.log.read_text()[-1000:]}"
                return

    def rates(self):
        """MB/s of each of its seconds."""
        return [float(rate) for rate in PROGRESS.findall(self.log.read_text())]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        # Again, because it may have been about to begin anew.
        while self.thread.is_alive():
            if self.child:
                self.child.terminate()
            self.thread.join(0.05)
        if self.error:
            raise RuntimeError(self.error)


def drop_from_cache(files):
    for path in files:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


HOT_ALONE = "hot producer and consumer (end to end, 5,000 records of 1 KiB a second in batches of ten) alone, then beside "
BESIDE_GOALS = [at_most("beside: end_to_end p99 µs", times(2, "flumen", figure="alone: end_to_end p99 µs")), at_most(STALL, fixed(10))]


def hot(load, label):
    result = load.e2e(partitions=16, consumers=2, assign="share", connections=8, per_batch=10, size=1024, rate=5_000, label=label)
    return labelled(label, latencies(result, "end_to_end", names=HOT))


def alone_and_beside(load, reader, shown):
    """The hot ones without and with `reader`, whose speed is `shown` under that name."""
    def alone():
        return hot(load, "alone")

    def beside():
        with reader:
            return hot(load, "beside")
    figures = {}
    for part in load.in_turn([alone, beside]):
        figures |= part()
    rates = reader.rates()
    return dict(sorted(figures.items())) | ({shown: statistics.mean(rates)} if rates else {})


@row(HOT_ALONE + "a consumer that reads an old topic which is not in the page cache, from its start, again and again: 4 GB, 10 GB with --long; "
     "the stalls are those of the broker's life with both", BESIDE_GOALS, own=True)
def cold_reader(load, kind):
    with load.broker() as load.running:
        topic = load.fill(partitions=4, megabytes=load.size(quick=256, usual=4_000, long=10_000))
    with load.broker(keep_data=True) as broker:
        load.running = broker
        load.warm_own()
        files = sorted((broker.home / "data").glob(f"{topic}-*/*.log"))
        figures = alone_and_beside(load, Reader(load, topic, files), "cold reader MB/s")
    return figures | load.stalls(broker)


@row(HOT_ALONE + "a consumer that has paused and now drains what has been written meanwhile, 1 GB in the page cache, as fast as it can, again and "
     "again; the stalls are those of the broker's life with both", BESIDE_GOALS, own=True)
def backlog_drain(load, kind):
    with load.broker() as broker:
        load.running = broker
        load.warm_own()
        topic = load.fill(partitions=4, megabytes=load.size(quick=128, usual=1_000, long=1_000))
        figures = alone_and_beside(load, Reader(load, topic), "drain MB/s")
    return figures | load.stalls(broker)


def gaps_while_writing(load):
    """The longest stall of a program that only looks at the clock on the server's processor, while the other one writes a file."""
    block = os.urandom(1 << 20)
    path = load.place.scratch / "written"
    try:
        with open(path, "wb", buffering=0) as file:
            return {STALL: load.gaps_beside(lambda: file.write(block))}
    finally:
        path.unlink(missing_ok=True)


@row("produce 1 KiB records in large batches at full speed, without retention, until the disk is the limit (30 s with --long); the floor is a "
     "program that only looks at the clock on the server's processor, while a file is written at full speed on the other: what the machine itself takes away",
     [at_most(STALL, fixed(10))], floors=("floor",), own=True)
def disk_speed(load, kind):
    if kind == "floor":
        return gaps_while_writing(load)
    seconds = load.size(quick=load.seconds, usual=load.seconds, long=30)
    free = shutil.disk_usage(load.place.scratch).free
    if free < 1.5 * seconds * FULL_SPEED:
        raise RuntimeError(f"{free / 2**30:.0f} GiB are free, which {seconds} s at full speed may fill")
    with load.broker() as broker:
        load.running = broker
        load.warm_own()
        options = load.target(load.topic(), 16) + ["--connections", 16, "--partitions-per-connection", 1, "--in-flight", 2]
        options += ["--records-per-batch", 925, "--record-size", 1024]
        result = load.generator("produce", options, broker.pid, seconds=seconds)
    return only(costs(result), "MB/s", "CPU s/GB") | latencies(result, "ack") | load.stalls(broker)
