"""Rows about fetching."""
from .row import at_most, costs, latencies, only, row, times

FETCHED = "CPU s/GB", "MB/s", "generator CPU %"
GOALS = [at_most("CPU s/GB", times(1.2, "floor"))]
# One record of 1 KiB in a batch and an answer of its own, if Flumen has not run in this round.
TAIL_ANSWER_BYTES = 1140
TAIL_RATE = 5_000
TAIL_CONSUMERS = 20


@row("fetch from the page cache; the floor is sendfile", GOALS, floors=("floor",))
def fetch_cached(load, kind):
    if kind == "floor":
        result = load.floor("fetch", "floor-fetch", ["--connections", 4, "--in-flight", 1, "--answer-bytes", 1 << 20],
                            ["--answer-bytes", 1 << 20])
    else:
        topic = load.fill(partitions=4, megabytes=256)
        result = load.consume(topic, ["--consumers", 4, "--rewind", "--max-bytes", 1 << 20])
    return only(costs(result), *FETCHED)


@row("20 consumers at the tail of one topic, 5,000 records of 1 KiB a second (the brokers' CPU for producing them included); the floor sends "
     "answers of the size and at the rate that Flumen's had in the same round to 20 connections, by sendfile", GOALS, floors=("floor",), follows=True)
def tail_of_20(load, kind):
    if kind == "floor":
        size = int(load.of_flumen("answer bytes") or TAIL_ANSWER_BYTES)
        rate = load.of_flumen("answers/s") or TAIL_RATE * TAIL_CONSUMERS
        options = ["--connections", TAIL_CONSUMERS, "--in-flight", 5, "--answer-bytes", size, "--request-rate", rate]
        result = load.floor("fetch", "floor-fetch", options, ["--answer-bytes", size])
        return {**only(costs(result), *FETCHED), "answer bytes": size}
    result = load.e2e(partitions=1, consumers=TAIL_CONSUMERS, assign="all", connections=16, per_batch=1, size=1024, rate=TAIL_RATE)
    consumed = result["consumed"]
    size = consumed["bytes"] / max(1, consumed["requests"])
    load.remember("answer bytes", size)
    load.remember("answers/s", consumed["requests_per_second"])
    return {**only(costs(result), *FETCHED), "answer bytes": size, **latencies(result, "end_to_end")}
