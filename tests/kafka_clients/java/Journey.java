import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.function.Predicate;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** One of everything that an application asks of a cluster; tests/support/peers.rs describes it. */
final class Journey {
    // The numbers of a journey; the records are young enough for the retention.
    private static final String RETENTION_MS = "3600000";
    private static final long AGO_MS = 1_800_000;
    private static final int RECORDS = 30;
    private static final long WANTED = 10;
    private static final int TOO_LARGE = 2_000_000;
    private static final long BEHIND_THE_END = 1_000_000;
    private static final long SETTLE_MS = 15_000;

    private Journey() { }

    static void run(Properties settings, JsonNode task, PrintStream out) throws Exception {
        String topic = task.get("topic").asText();
        settings.put("group.id", task.get("group").asText());
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "none");
        settings.put("max.poll.records", "1");
        ObjectNode answer = new ObjectMapper().createObjectNode();
        try (Admin admin = Admin.create(settings)) {
            List<NewTopic> topics = List.of(new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", RETENTION_MS)));
            admin.createTopics(topics).all().get();
            answer.put("exists", errorOf(() -> admin.createTopics(topics).all().get()));
            answer.put("absent", errorOf(() -> admin.deleteTopics(List.of(topic + "-absent")).all().get()));
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            answer.put("retention", admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value());
            long base = System.currentTimeMillis() - AGO_MS;
            produce(settings, topic, base, answer);
            consume(settings, topic, base, answer);
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
            answer.put("partitions", until(
                () -> admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size(), seen -> seen == 5));
            answer.put("nodes", admin.describeCluster().nodes().get().size());
            answer.put("listed", admin.listGroups().all().get().stream()
                .anyMatch(group -> group.groupId().equals(task.get("group").asText())));
            admin.deleteTopics(List.of(topic)).all().get();
            answer.put("deleted", until(() -> !admin.listTopics().names().get().contains(topic), gone -> gone));
        }
        out.println(answer);
    }

    private static void produce(Properties settings, String topic, long base, ObjectNode answer) throws Exception {
        settings.put("max.request.size", String.valueOf(2 * TOO_LARGE));
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int number = 0; number < RECORDS; number++) {
                byte[] value = String.valueOf(number).getBytes(StandardCharsets.US_ASCII);
                producer.send(new ProducerRecord<>(topic, 0, base + number, null, value)).get();
            }
            answer.put("too_large", errorOf(() -> producer.send(new ProducerRecord<>(topic, 0, null, new byte[TOO_LARGE])).get()));
        }
    }

    private static void consume(Properties settings, String topic, long base, ObjectNode answer) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(List.of(partition));
            long found = consumer.offsetsForTimes(Map.of(partition, base + WANTED)).get(partition).offset();
            answer.put("by_time", found);
            consumer.seek(partition, found);
            ConsumerRecords<byte[], byte[]> records = until(() -> consumer.poll(Duration.ofSeconds(1)), read -> !read.isEmpty());
            answer.put("value", new String(records.iterator().next().value(), StandardCharsets.US_ASCII));
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(found + 1)));
            answer.put("committed", consumer.committed(java.util.Set.of(partition)).get(partition).offset());
            consumer.seek(partition, BEHIND_THE_END);
            answer.put("out_of_range", until(() -> errorOf(() -> consumer.poll(Duration.ofSeconds(1))), text -> text != null));
        }
    }

    private static String errorOf(Callable<?> call) throws Exception {
        try {
            call.call();
            return null;
        } catch (ExecutionException error) {
            return error.getCause().toString();
        } catch (KafkaException error) {
            return error.toString();
        }
    }

    /** Asks until the answer is enough: what an admin call did is seen a little later. */
    private static <T> T until(Callable<T> ask, Predicate<T> enough) throws Exception {
        long deadline = System.currentTimeMillis() + SETTLE_MS;
        T seen = ask.call();
        while (!enough.test(seen) && System.currentTimeMillis() < deadline) {
            Thread.sleep(100);
            seen = ask.call();
        }
        return seen;
    }
}
