import com.fasterxml.jackson.databind.JsonNode;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Records that know their offset, for partitions that are too large to be dumped: the value of record n is n in ten digits and a
 * filler that follows from n, its timestamp is base + n. tests/support/peers.rs describes the tasks.
 */
final class Numbered {
    static final int DIGITS = 10;

    private Numbered() { }

    static byte[] value(long number, int size) {
        byte[] value = new byte[size + (int) (number % 997)];
        Arrays.fill(value, (byte) (number % 251));
        System.arraycopy(String.format("%010d", number).getBytes(StandardCharsets.US_ASCII), 0, value, 0, DIGITS);
        return value;
    }

    static void produce(String bootstrap, Properties settings, JsonNode task, PrintStream out) throws Exception {
        settings.putIfAbsent("batch.size", "262144");
        settings.putIfAbsent("linger.ms", "20");
        settings.putIfAbsent("buffer.memory", "67108864");
        int size = task.get("size").asInt();
        int partition = task.path("partition").asInt(0);
        long count = task.get("count").asLong();
        long base = task.get("base_timestamp").asLong();
        AtomicReference<Exception> failure = new AtomicReference<>();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (long number = 0; number < count && failure.get() == null; number++) {
                long expected = number;
                producer.send(new ProducerRecord<>(task.get("topic").asText(), partition, base + number, null, value(number, size)),
                    (metadata, error) -> {
                        if (error != null) {
                            failure.compareAndSet(null, error);
                        } else if (metadata.offset() != expected) {
                            failure.compareAndSet(null, new IllegalStateException(expected + " got offset " + metadata.offset()));
                        }
                    });
            }
        }
        if (failure.get() != null) {
            throw failure.get();
        }
        out.println("{\"count\":" + count + "}");
    }

    static void verify(Properties settings, JsonNode task, PrintStream out) {
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", task.path("may_jump").asBoolean() ? "earliest" : "none");
        TopicPartition partition = new TopicPartition(task.get("topic").asText(), task.path("partition").asInt(0));
        long end = task.get("end").asLong();
        long base = task.get("base_timestamp").asLong();
        int size = task.get("size").asInt();
        boolean mayJump = task.path("may_jump").asBoolean();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(task.get("seconds").asInt());
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(List.of(partition));
            long next = task.path("from").asLong(0);
            consumer.seek(partition, next);
            if (task.hasNonNull("from_number_by_time")) {
                next = task.get("from_number_by_time").asLong();
                long found = consumer.offsetsForTimes(Map.of(partition, base + next)).get(partition).offset();
                if (found != next) {
                    throw new IllegalStateException("time of " + next + " led to " + found);
                }
                consumer.seek(partition, found);
            }
            long count = 0;
            long jumped = 0;
            while (next < end) {
                if (System.nanoTime() > deadline) {
                    throw new IllegalStateException("time is up at " + next + " of " + end);
                }
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    if (record.offset() != next && !(mayJump && record.offset() > next)) {
                        throw new IllegalStateException("offset " + record.offset() + " where " + next + " belongs");
                    }
                    jumped += record.offset() - next;
                    next = record.offset();
                    if (record.timestamp() != base + next || !Arrays.equals(record.value(), value(next, size))) {
                        throw new IllegalStateException("offset " + next + " has another record's content");
                    }
                    next++;
                    count++;
                    if (next == end) {
                        break;
                    }
                }
            }
            out.println("{\"count\":" + count + ",\"jumped\":" + jumped + "}");
        }
    }
}
