"""aiokafka as a test peer: JSON lines in, JSON lines out; tests/support/peers.rs describes the tasks and answers."""
import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, for_code

import lines
from lines import SECONDS, dump, error_text, tell, tell_places, unhex


async def produce(bootstrap, task):
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, compression_type=None if task["codec"] == "none" else task["codec"],
        acks=task["acks"] if task["acks"] == "all" else int(task["acks"]), enable_idempotence=task["idempotent"], linger_ms=5,
    )
    await producer.start()
    sent = [
        await producer.send(
            task["topic"], value=unhex(record["value"]), key=unhex(record["key"]), partition=record["partition"],
            timestamp_ms=record["timestamp"], headers=[(name, unhex(value)) for name, value in record["headers"]],
        )
        for record in task["records"]
    ]
    done = await asyncio.wait_for(asyncio.gather(*sent), SECONDS)
    await producer.stop()
    # Without acks the client has nothing to say, not even the partition.
    acks = [
        [record["partition"], -1] if one is None else [one.partition, one.offset] for record, one in zip(task["records"], done)
    ]
    return [{"topic": task["topic"], "acks": acks}]


async def consume(bootstrap, task):
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="none", check_crcs=True)
    await consumer.start()
    ends = {TopicPartition(part["topic"], part["partition"]): part["end"] for part in task["partitions"]}
    consumer.assign(list(ends))
    waiting = set()
    for part in task["partitions"]:
        place, start = TopicPartition(part["topic"], part["partition"]), part.get("from", 0)
        if part.get("from_timestamp") is not None:
            start = (await consumer.offsets_for_times({place: part["from_timestamp"]}))[place].offset
        consumer.seek(place, start)
        if start < ends[place]:
            waiting.add(place)
        else:
            consumer.pause(place)
    answers = []
    deadline = time.monotonic() + task.get("seconds", SECONDS)
    while waiting:
        if time.monotonic() > deadline:
            raise RuntimeError(f"time is up, waiting for {sorted(waiting)}")
        for place, records in (await consumer.getmany(timeout_ms=500)).items():
            for record in records:
                answers.append(dump(place.topic, place.partition, record.offset, record.timestamp, record.key, record.value, record.headers))
                if record.offset + 1 >= ends[place]:
                    waiting.discard(place)
    await consumer.stop()
    return answers + [{"done": True}]


async def member(bootstrap, task):
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    lines.at_the_end_of_input(lambda: loop.call_soon_threadsafe(stopped.set))
    # This client rebalances in the background. What was handed out is committed before a rebalance goes on: `getmany` hands out
    # nothing while one is under way, and the lock is taken at once after it returns.
    committing = asyncio.Lock()

    class Listener(ConsumerRebalanceListener):
        async def on_partitions_revoked(self, revoked):
            async with committing:
                tell_places("revoked", revoked)

        async def on_partitions_assigned(self, assigned):
            tell_places("assigned", assigned)

    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=task["group"], client_id=task["name"], group_instance_id=task.get("instance"),
        enable_auto_commit=False, auto_offset_reset="earliest", session_timeout_ms=task["session_timeout_ms"],
        heartbeat_interval_ms=500, partition_assignment_strategy=[RangePartitionAssignor],
    )
    consumer.subscribe(task["topics"], listener=Listener())
    await consumer.start()
    while not stopped.is_set():
        read = await consumer.getmany(timeout_ms=200, max_records=500)
        async with committing:
            if not read:
                continue
            try:
                await consumer.commit({place: records[-1].offset + 1 for place, records in read.items()})
            except (CommitFailedError, IllegalStateError):
                # Somebody else reads them again.
                continue
            for place, records in read.items():
                for record in records:
                    tell({"read": [place.topic, place.partition, record.offset]})
    await consumer.stop()
    tell({"left": True})


async def until(ask, enough=bool):
    deadline = time.monotonic() + lines.SETTLE_SECONDS
    while not enough(seen := await ask()) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return seen


async def error_of(awaitable):
    try:
        await awaitable
    except (KafkaError, asyncio.TimeoutError) as error:
        return error_text(error)
    return None


def check(answers):
    """This client's admin hands out what the broker said; the second of each answer is the error code."""
    for _, code, *message in answers:
        if code != 0:
            raise for_code(code)(*message)


async def journey(bootstrap, task):
    topic, answer = task["topic"], {}
    place = TopicPartition(topic, 0)
    base = int(time.time() * 1000) - lines.AGO_MS
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()

    async def create():
        new = NewTopic(topic, lines.PARTITIONS[0], 1, topic_configs={"retention.ms": lines.RETENTION_MS})
        check((await admin.create_topics([new])).topic_errors)

    async def delete(name):
        check((await admin.delete_topics([name])).topic_error_codes)

    await create()
    answer["exists"] = await error_of(create())
    answer["absent"] = await error_of(delete(topic + "-absent"))
    described = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    answer["retention"] = next(entry[1] for entry in described[0].resources[0][4] if entry[0] == "retention.ms")

    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    for number in range(lines.RECORDS):
        await producer.send_and_wait(topic, b"%d" % number, partition=0, timestamp_ms=base + number)
    await producer.stop()
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, max_request_size=2 * lines.TOO_LARGE, max_batch_size=2 * lines.TOO_LARGE)
    await producer.start()
    answer["too_large"] = await error_of(producer.send_and_wait(topic, bytes(lines.TOO_LARGE), partition=0))
    await producer.stop()

    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=task["group"], enable_auto_commit=False, auto_offset_reset="none")
    await consumer.start()
    consumer.assign([place])
    answer["by_time"] = (await consumer.offsets_for_times({place: base + lines.WANTED}))[place].offset
    consumer.seek(place, answer["by_time"])
    answer["value"] = (await consumer.getone()).value.decode()
    await consumer.commit({place: answer["by_time"] + 1})
    answer["committed"] = await consumer.committed(place)
    consumer.seek(place, lines.BEHIND_THE_END)
    answer["out_of_range"] = await error_of(asyncio.wait_for(consumer.getone(), SECONDS))
    await consumer.stop()

    await admin.create_partitions({topic: NewPartitions(lines.PARTITIONS[1])})
    answer["nodes"] = len((await admin.describe_cluster())["brokers"])
    answer["listed"] = task["group"] in [group[0] for group in await admin.list_consumer_groups()]

    async def partitions():
        return len((await admin.describe_topics([topic]))[0]["partitions"])

    async def is_gone():
        return topic not in await admin.list_topics()

    answer["partitions"] = await until(partitions, lambda seen: seen == lines.PARTITIONS[1])
    await delete(topic)
    answer["deleted"] = await until(is_gone)
    await admin.close()
    return [answer]


def run(task):
    return lambda *arguments: asyncio.run(task(*arguments))


lines.serve({"produce": run(produce), "consume": run(consume), "journey": run(journey)}, run(member))
