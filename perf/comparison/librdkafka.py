"""Loads a broker through librdkafka; run by the comparison with the Python that has confluent-kafka.

    librdkafka.py produce HOST:PORT TOPIC SECONDS BYTES_PER_RECORD
    librdkafka.py consume HOST:PORT TOPIC PARTITIONS

Prints the records, bytes and seconds as JSON.
"""
import json
import os
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

# What one run leaves on the disk, at most.
MAX_BYTES = 2_000_000_000
FLUSH_SECONDS = 60


def produce(address, topic, seconds, size):
    producer = Producer({"bootstrap.servers": address, "acks": 1})
    failed, acked = [], 0

    def delivered(error, _):
        nonlocal acked
        if error is None:
            acked += 1
        else:
            failed.append(str(error))
    # Random, so that nothing on the way profits from what is in it.
    value, sent = os.urandom(size), 0
    # Connected and with metadata before time counts.
    producer.produce(topic, value, on_delivery=delivered)
    producer.flush(FLUSH_SECONDS)
    started, sent = time.monotonic(), 1
    while time.monotonic() - started < seconds and sent * size < MAX_BYTES:
        # The clock is asked once for many records.
        for _ in range(1000):
            while True:
                try:
                    producer.produce(topic, value, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.01)
            sent += 1
        producer.poll(0)
    left = producer.flush(FLUSH_SECONDS)
    if failed or left or acked != sent:
        sys.exit(f"{sent} records were sent, {acked} acked: {failed[:3]}")
    return sent, sent * size, time.monotonic() - started


def consume(address, topic, partitions):
    # It stops fetching for a second when its queue is full, which would be measured as the broker's.
    consumer = Consumer({"bootstrap.servers": address, "group.id": "none", "enable.auto.commit": False, "fetch.queue.backoff.ms": 1})
    ends = {partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)[1] for partition in range(partitions)}
    wanted = sum(ends.values())
    started = time.monotonic()
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in ends])
    records, size, heard = 0, 0, started
    while records < wanted:
        # It waits until it has so many, or for so long.
        found = consumer.consume(1000, timeout=0.01)
        heard = time.monotonic() if found else heard
        if time.monotonic() - heard > 10:
            sys.exit(f"{records} of {wanted} records came")
        for message in found:
            if message.error():
                sys.exit(str(message.error()))
            size += len(message.value())
        records += len(found)
    seconds = time.monotonic() - started
    consumer.close()
    return records, size, seconds


def main(verb, address, topic, *numbers):
    run = {"produce": produce, "consume": consume}[verb]
    records, size, seconds = run(address, topic, *(float(number) if "." in number else int(number) for number in numbers))
    print(json.dumps({"command": f"librdkafka {verb}", "records": records, "bytes": size, "seconds": seconds}))


main(*sys.argv[1:])
