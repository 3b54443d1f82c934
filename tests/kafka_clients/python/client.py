"""librdkafka through confluent-kafka as a test peer: JSON lines in, JSON lines out, as the Java and Go peers do.

The tasks and answers are described in tests/support/peers.rs.
"""
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition, TIMESTAMP_NOT_AVAILABLE
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

import lines
from lines import SECONDS, dump, tell, tell_places, unhex, until


def produce(bootstrap, task):
    acks = [None] * len(task["records"])
    failures = []

    def delivered(index):
        def report(error, message):
            if error is not None:
                failures.append(str(error))
            else:
                acks[index] = [message.partition(), -1 if message.offset() is None else message.offset()]
        return report

    producer = Producer({
        "bootstrap.servers": bootstrap, "compression.type": task["codec"], "acks": task["acks"],
        "enable.idempotence": task["idempotent"], "linger.ms": 5, "message.timeout.ms": SECONDS * 1000, **task.get("librdkafka", {}),
    })
    for index, record in enumerate(task["records"]):
        producer.produce(
            task["topic"], value=unhex(record["value"]), key=unhex(record["key"]), partition=record["partition"],
            timestamp=record["timestamp"], headers=[(name, unhex(value)) for name, value in record["headers"]],
            on_delivery=delivered(index),
        )
        producer.poll(0)
    left = producer.flush(SECONDS)
    if left or failures or None in acks:
        raise RuntimeError(f"{left} records undelivered, failures: {failures[:3]}")
    yield {"topic": task["topic"], "acks": acks}


def consume(bootstrap, task):
    # librdkafka wants a group id even where no group is used; nothing is committed and the partitions are assigned.
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False, "enable.auto.offset.store": False,
        "auto.offset.reset": "error", "check.crcs": True, "enable.partition.eof": False, **task.get("librdkafka", {}),
    })
    ends = {(part["topic"], part["partition"]): part["end"] for part in task["partitions"]}
    starts = []
    for part in task["partitions"]:
        start = TopicPartition(part["topic"], part["partition"], part.get("from", 0))
        if part.get("from_timestamp") is not None:
            asked = TopicPartition(part["topic"], part["partition"], part["from_timestamp"])
            start = consumer.offsets_for_times([asked], timeout=SECONDS)[0]
            if start.error is not None:
                raise KafkaException(start.error)
        starts.append(start)
    waiting = {(start.topic, start.partition) for start in starts if start.offset < ends[(start.topic, start.partition)]}
    consumer.assign(starts)
    deadline = time.monotonic() + task.get("seconds", SECONDS)
    while waiting:
        if time.monotonic() > deadline:
            raise RuntimeError(f"time is up, waiting for {sorted(waiting)}")
        for message in consumer.consume(500, timeout=0.5):
            if message.error() is not None:
                raise KafkaException(message.error())
            place = (message.topic(), message.partition())
            kind, timestamp = message.timestamp()
            yield dump(
                *place, message.offset(), -1 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp, message.key(), message.value(),
                message.headers())
            if message.offset() + 1 >= ends[place]:
                waiting.discard(place)
    consumer.close()
    yield {"done": True}


def numbered(number, size):
    """The value of record `number`; see java/Numbered.java."""
    return b"%010d" % number + bytes([number % 251]) * (size + number % 997 - 10)


def verify_numbered(bootstrap, task):
    may_jump = task.get("may_jump", False)
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False, "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest" if may_jump else "error", **task.get("librdkafka", {}),
    })
    partition, base = task.get("partition", 0), task["base_timestamp"]
    expected = task.get("from", 0)
    if task.get("from_number_by_time") is not None:
        expected = task["from_number_by_time"]
        found = consumer.offsets_for_times([TopicPartition(task["topic"], partition, base + expected)], timeout=SECONDS)[0]
        if found.error is not None or found.offset != expected:
            raise RuntimeError(f"time of {expected} led to {found}")
    consumer.assign([TopicPartition(task["topic"], partition, expected)])
    deadline = time.monotonic() + task["seconds"]
    count = jumped = 0
    while expected < task["end"]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"time is up at {expected} of {task['end']}")
        for message in consumer.consume(1000, timeout=0.5):
            if message.error() is not None:
                raise KafkaException(message.error())
            if message.offset() != expected and not (may_jump and message.offset() > expected):
                raise RuntimeError(f"offset {message.offset()} where {expected} belongs")
            jumped += message.offset() - expected
            expected = message.offset()
            if message.timestamp()[1] != base + expected or message.value() != numbered(expected, task["size"]):
                raise RuntimeError(f"offset {expected} has another record's content")
            expected += 1
            count += 1
            if expected == task["end"]:
                break
    consumer.close()
    yield {"count": count, "jumped": jumped}


def member(bootstrap, task):
    """A member of a consumer group until standard input ends; see tests/support/members.rs."""
    stopped = threading.Event()
    lines.at_the_end_of_input(stopped.set)
    instance = {"group.instance.id": task["instance"]} if task.get("instance") else {}
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": task["group"], "client.id": task["name"], "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "session.timeout.ms": task["session_timeout_ms"], "heartbeat.interval.ms": 500,
        "partition.assignment.strategy": "range", **instance, **task.get("librdkafka", {}),
    })
    consumer.subscribe(
        task["topics"], on_assign=lambda _, partitions: tell_places("assigned", partitions),
        on_revoke=lambda _, partitions: tell_places("revoked", partitions),
        on_lost=lambda _, partitions: tell_places("revoked", partitions),
    )
    while not stopped.is_set():
        messages = consumer.consume(500, timeout=0.2)
        for message in messages:
            if message.error() is not None:
                raise KafkaException(message.error())
        if not messages:
            continue
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() not in LOST:
                raise
            continue
        for message in messages:
            tell({"read": [message.topic(), message.partition(), message.offset()]})
    consumer.close()
    tell({"left": True})


# Somebody else reads again what was not committed for these reasons.
LOST = (KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError._NO_OFFSET,
        KafkaError._ASSIGNMENT_LOST)


def error_of(call):
    try:
        call()
    except KafkaException as error:
        return f"{error.args[0].name()}: {error.args[0].str()}"
    return None


def deliver(producer, topic, value, **more):
    failures = []
    producer.produce(topic, value, partition=0, on_delivery=lambda error, _: failures.append(error), **more)
    producer.flush(SECONDS)
    if failures[0] is not None:
        raise KafkaException(failures[0])


def poll(consumer):
    message = consumer.poll(1)
    if message is not None and message.error() is not None:
        raise KafkaException(message.error())
    return message


def journey(bootstrap, task):
    topic, answer = task["topic"], {}
    base = int(time.time() * 1000) - lines.AGO_MS
    admin = AdminClient({"bootstrap.servers": bootstrap})
    done = lambda futures: [future.result(SECONDS) for future in futures.values()][0]
    create = lambda: done(admin.create_topics([NewTopic(topic, lines.PARTITIONS[0], 1, config={"retention.ms": lines.RETENTION_MS})]))
    create()
    answer["exists"] = error_of(create)
    answer["absent"] = error_of(lambda: done(admin.delete_topics([topic + "-absent"])))
    answer["retention"] = done(admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]))["retention.ms"].value

    settings = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "message.max.bytes": 2 * lines.TOO_LARGE}
    producer = Producer(settings)
    for number in range(lines.RECORDS):
        deliver(producer, topic, b"%d" % number, timestamp=base + number)
    answer["too_large"] = error_of(lambda: deliver(producer, topic, bytes(lines.TOO_LARGE)))

    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": task["group"], "enable.auto.commit": False, "auto.offset.reset": "error",
    })
    answer["by_time"] = consumer.offsets_for_times([TopicPartition(topic, 0, base + lines.WANTED)], timeout=SECONDS)[0].offset
    consumer.assign([TopicPartition(topic, 0, answer["by_time"])])
    answer["value"] = until(lambda: poll(consumer)).value().decode()
    consumer.commit(offsets=[TopicPartition(topic, 0, answer["by_time"] + 1)], asynchronous=False)
    answer["committed"] = consumer.committed([TopicPartition(topic, 0)], timeout=SECONDS)[0].offset
    consumer.assign([TopicPartition(topic, 0, lines.BEHIND_THE_END)])
    answer["out_of_range"] = until(lambda: error_of(lambda: poll(consumer)))
    consumer.close()

    done(admin.create_partitions([NewPartitions(topic, lines.PARTITIONS[1])]))
    partitions = lambda: len(admin.list_topics(topic, timeout=SECONDS).topics[topic].partitions)
    answer["partitions"] = until(partitions, lambda seen: seen == lines.PARTITIONS[1])
    answer["nodes"] = len(admin.describe_cluster().result(SECONDS).nodes)
    answer["listed"] = task["group"] in [group.group_id for group in admin.list_consumer_groups().result(SECONDS).valid]
    done(admin.delete_topics([topic]))
    answer["deleted"] = until(lambda: topic not in admin.list_topics(timeout=SECONDS).topics)
    yield answer


lines.serve({"produce": produce, "consume": consume, "verify_numbered": verify_numbered, "journey": journey}, member)
