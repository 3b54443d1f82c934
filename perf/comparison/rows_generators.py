"""Rows whose load comes from others' generators: Kafka's own tool and librdkafka.

Kafka's producer tool prints its rate over its steady part, after the warm-up that it is told; the broker's CPU is that of the whole
run, divided by all bytes of the run.
"""
from . import kafka_tool
from .row import at_least, at_most, costs, only, process_cpu, row, times

# Records of the first run of the tool on a kind of broker, which finds out how many it sends in a second.
PROBE_RECORDS = 100_000
JAVA_DEFAULT_GOALS = [at_most("CPU s/GB", times(1 / 4, "kafka")), at_least("records/s", times(1, "kafka"))]
# As in LinkedIn's test of 2014, but for the number of brokers.
HISTORIC = ("acks=1", "buffer.memory=67108864", "batch.size=8196")
HISTORIC_SIZE, HISTORIC_PARTITIONS = 100, 6


def tool(load, partitions, size, properties, producers=1, seconds=None):
    """Runs Kafka's producer tool for about so long: records/s as it prints, and the broker's CPU for each record."""
    seconds, key = seconds or load.seconds, ("tool", load.row, load.kind)
    if key not in load.memory:
        load.memory[key] = kafka_tool.run(load, load.new_topic(partitions), PROBE_RECORDS, size, properties)["records/s"]
    topic, records = load.new_topic(partitions), max(PROBE_RECORDS, int(load.memory[key] * seconds))
    before = process_cpu(load.running.pid)
    results = kafka_tool.run_beside(load, topic, records, size, properties, producers)
    used = process_cpu(load.running.pid) - before
    load.memory[key] = sum(result["records/s"] for result in results) / producers
    sent, rate = records * producers, sum(result["records/s"] for result in results)
    return {"CPU s/GB": used * 1e9 / (sent * size), "CPU µs/record": used * 1e6 / sent, "records/s": rate, "MB/s": rate * size / 1e6,
            "tool's p99 ms": max(result["p99 ms"] for result in results)}


@row("the Java client with its default batches: kafka-producer-perf-test, 1 KiB records, 16 partitions, unthrottled, all settings at their "
     "defaults", JAVA_DEFAULT_GOALS)
def produce_java_default(load, kind):
    return only(tool(load, 16, 1024, ()), "CPU s/GB", "records/s", "MB/s", "tool's p99 ms")


@row("librdkafka (confluent-kafka for Python): produce 1 KiB records to 16 partitions with acks=1, then consume them with assign(); its "
     "core is the limit")
def librdkafka(load, kind):
    topic, size = load.new_topic(16, capped=False), 1024
    figures = {}
    for verb, options in [("produce", [load.seconds, size]), ("consume", [16])]:
        before = process_cpu(load.running.pid)
        done = load.librdkafka(verb, topic, options)
        used = process_cpu(load.running.pid) - before
        figures |= {f"{verb}: CPU s/GB": used * 1e9 / done["bytes"], f"{verb}: records/s": done["records"] / done["seconds"]}
    return figures


HISTORIC_FIGURES = "records/s", "MB/s", "CPU µs/record"


@row("LinkedIn's historic row: 100 B records, 6 partitions, one producer thread (kafka-producer-perf-test)")
def historic_1_producer(load, kind):
    return only(tool(load, HISTORIC_PARTITIONS, HISTORIC_SIZE, HISTORIC), *HISTORIC_FIGURES)


@row("LinkedIn's historic row: 100 B records, 6 partitions, three producers (kafka-producer-perf-test, all on the generator's cores)")
def historic_3_producers(load, kind):
    return only(tool(load, HISTORIC_PARTITIONS, HISTORIC_SIZE, HISTORIC, producers=3), *HISTORIC_FIGURES)


@row("LinkedIn's historic row: 100 B records, 6 partitions, one consumer (flumen-bench: the consumer of Kafka's tool needs groups, which "
     "Flumen does not have yet)")
def historic_consumer(load, kind):
    topic = load.fill(HISTORIC_PARTITIONS, megabytes=128, size=HISTORIC_SIZE)
    result = load.consume(topic, ["--consumers", 1, "--rewind", "--max-bytes", 1 << 20])
    records = result["consumed"]["records"]
    return {**only(costs(result), *HISTORIC_FIGURES), "MB/s": records * HISTORIC_SIZE / 1e6 / result["seconds"]}


@row("LinkedIn's historic row: 100 B records, 6 partitions, a producer (kafka-producer-perf-test) and a consumer (flumen-bench) together")
def historic_producer_and_consumer(load, kind):
    topic, key = load.new_topic(HISTORIC_PARTITIONS), ("tool", load.row, load.kind)
    if key not in load.memory:
        load.memory[key] = kafka_tool.run(load, load.new_topic(HISTORIC_PARTITIONS), PROBE_RECORDS, HISTORIC_SIZE, HISTORIC)["records/s"]
    # The tool has to start before and to end after the consumer's measured time.
    # (Its first records are its slowest, and it is ended anyway.)
    records = max(PROBE_RECORDS, int(load.memory[key] * load.seconds * 10))
    with kafka_tool.ProducerPerformance(load, topic, records, HISTORIC_SIZE, HISTORIC) as producer:
        producer.wait_for_records()
        result = load.consume(topic, ["--consumers", 1, "--from", "latest"])
        sent = producer.finish(kill=True)
    rate = sent["records/s"]
    load.memory[key] = rate
    read = result["consumed"]["records"] / result["seconds"]
    return {"produced records/s": rate, "consumed records/s": read, "consumed MB/s": read * HISTORIC_SIZE / 1e6,
            "CPU µs/consumed record": costs(result)["CPU µs/record"]}
