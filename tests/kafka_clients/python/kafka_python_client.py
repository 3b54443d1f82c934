"""kafka-python as a test peer: JSON lines in, JSON lines out; tests/support/peers.rs describes the tasks and answers."""
import threading
import time

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import CommitFailedError, IllegalGenerationError, KafkaError, RebalanceInProgressError, UnknownMemberIdError

import lines
from lines import SECONDS, dump, error_text, tell, tell_places, unhex, until


def produce(bootstrap, task):
    producer = KafkaProducer(
        bootstrap_servers=bootstrap, compression_type=None if task["codec"] == "none" else task["codec"],
        acks=task["acks"] if task["acks"] == "all" else int(task["acks"]), enable_idempotence=task["idempotent"], linger_ms=5,
    )
    sent = [
        producer.send(
            task["topic"], value=unhex(record["value"]), key=unhex(record["key"]), partition=record["partition"],
            timestamp_ms=record["timestamp"], headers=[(name, unhex(value)) for name, value in record["headers"]],
        )
        for record in task["records"]
    ]
    done = [future.get(timeout=SECONDS) for future in sent]
    producer.close()
    # Without acks it makes offsets up, from 0 in each batch.
    yield {"topic": task["topic"], "acks": [[one.partition, -1 if task["acks"] == "0" else one.offset] for one in done]}


def consume(bootstrap, task):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="none", check_crcs=True)
    ends = {TopicPartition(part["topic"], part["partition"]): part["end"] for part in task["partitions"]}
    consumer.assign(list(ends))
    waiting = set()
    for part in task["partitions"]:
        place, start = TopicPartition(part["topic"], part["partition"]), part.get("from", 0)
        if part.get("from_timestamp") is not None:
            start = consumer.offsets_for_times({place: part["from_timestamp"]})[place].offset
        consumer.seek(place, start)
        if start < ends[place]:
            waiting.add(place)
        else:
            consumer.pause(place)
    deadline = time.monotonic() + task.get("seconds", SECONDS)
    while waiting:
        if time.monotonic() > deadline:
            raise RuntimeError(f"time is up, waiting for {sorted(waiting)}")
        for place, records in consumer.poll(timeout_ms=500).items():
            for record in records:
                yield dump(place.topic, place.partition, record.offset, record.timestamp, record.key, record.value, record.headers)
                if record.offset + 1 >= ends[place]:
                    waiting.discard(place)
    consumer.close()
    yield {"done": True}


class Listener(ConsumerRebalanceListener):
    def on_partitions_revoked(self, revoked):
        tell_places("revoked", revoked)

    def on_partitions_assigned(self, assigned):
        tell_places("assigned", assigned)

    def on_partitions_lost(self, lost):
        tell_places("revoked", lost)


def member(bootstrap, task):
    stopped = threading.Event()
    lines.at_the_end_of_input(stopped.set)
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, group_id=task["group"], client_id=task["name"], group_instance_id=task.get("instance"),
        enable_auto_commit=False, auto_offset_reset="earliest", session_timeout_ms=task["session_timeout_ms"],
        heartbeat_interval_ms=500, partition_assignment_strategy=[RangePartitionAssignor],
    )
    consumer.subscribe(task["topics"], listener=Listener())
    while not stopped.is_set():
        read = consumer.poll(timeout_ms=200, max_records=500)
        if not read:
            continue
        try:
            consumer.commit({place: OffsetAndMetadata(records[-1].offset + 1) for place, records in read.items()})
        except (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError):
            # Somebody else reads them again.
            continue
        for place, records in read.items():
            for record in records:
                tell({"read": [place.topic, place.partition, record.offset]})
    consumer.close()
    tell({"left": True})


def error_of(call):
    try:
        call()
    except KafkaError as error:
        return error_text(error)
    return None


def journey(bootstrap, task):
    topic, answer = task["topic"], {}
    place = TopicPartition(topic, 0)
    base = int(time.time() * 1000) - lines.AGO_MS
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    new = {topic: {"num_partitions": lines.PARTITIONS[0], "replication_factor": 1, "configs": {"retention.ms": lines.RETENTION_MS}}}
    admin.create_topics(new)
    answer["exists"] = error_of(lambda: admin.create_topics(new))
    answer["absent"] = error_of(lambda: admin.delete_topics([topic + "-absent"]))
    described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    answer["retention"] = described["topic"][topic]["retention.ms"]["value"]

    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for number in range(lines.RECORDS):
        producer.send(topic, b"%d" % number, partition=0, timestamp_ms=base + number)
    producer.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap, max_request_size=2 * lines.TOO_LARGE, batch_size=2 * lines.TOO_LARGE)
    answer["too_large"] = error_of(lambda: producer.send(topic, bytes(lines.TOO_LARGE), partition=0).get(timeout=SECONDS))
    producer.close()

    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, group_id=task["group"], enable_auto_commit=False, auto_offset_reset="none")
    consumer.assign([place])
    answer["by_time"] = consumer.offsets_for_times({place: base + lines.WANTED})[place].offset
    consumer.seek(place, answer["by_time"])
    answer["value"] = until(lambda: consumer.poll(timeout_ms=1000, max_records=1))[place][0].value.decode()
    consumer.commit({place: OffsetAndMetadata(answer["by_time"] + 1)})
    answer["committed"] = consumer.committed(place)
    consumer.seek(place, lines.BEHIND_THE_END)
    answer["out_of_range"] = until(lambda: error_of(lambda: consumer.poll(timeout_ms=1000)))
    consumer.close()

    admin.create_partitions({topic: lines.PARTITIONS[1]})
    answer["nodes"] = len(admin.describe_cluster()["brokers"])
    answer["listed"] = task["group"] in [group["group_id"] for group in admin.list_groups()]
    partitions = lambda: len(admin.describe_topics([topic])[0]["partitions"])
    answer["partitions"] = until(partitions, lambda seen: seen == lines.PARTITIONS[1])
    admin.delete_topics([topic])
    answer["deleted"] = until(lambda: topic not in admin.list_topics())
    admin.close()
    yield answer


lines.serve({"produce": produce, "consume": consume, "journey": journey}, member)
