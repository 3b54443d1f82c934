import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a consumer group until standard input ends; see tests/support/members.rs. */
final class Member {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Member() { }

    static void run(Properties settings, JsonNode task, BufferedReader in, PrintStream out) {
        settings.put("group.id", task.get("group").asText());
        settings.put("client.id", task.get("name").asText());
        settings.put("group.protocol", "classic");
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("session.timeout.ms", task.get("session_timeout_ms").asText());
        settings.put("heartbeat.interval.ms", "500");
        settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor");
        if (task.hasNonNull("instance")) {
            settings.put("group.instance.id", task.get("instance").asText());
        }
        task.path("java").properties().forEach(entry -> settings.put(entry.getKey(), entry.getValue().asText()));
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            Thread waiter = new Thread(() -> {
                try {
                    while (in.read() >= 0) { }
                } catch (java.io.IOException error) {
                    error.printStackTrace();
                }
                stopped = true;
            });
            waiter.setDaemon(true);
            waiter.start();
            List<String> topics = new ArrayList<>();
            task.get("topics").forEach(topic -> topics.add(topic.asText()));
            consumer.subscribe(topics, new Listener(out));
            while (!stopped) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
                try {
                    consumer.commitSync();
                } catch (CommitFailedException | RebalanceInProgressException error) {
                    // Somebody else reads them again.
                    continue;
                }
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    ObjectNode node = JSON.createObjectNode();
                    node.putArray("read").add(record.topic()).add(record.partition()).add(record.offset());
                    out.println(node);
                }
                out.flush();
            }
        }
        out.println("{\"left\":true}");
        out.flush();
    }

    private static volatile boolean stopped;

    private record Listener(PrintStream out) implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            tell("assigned", partitions);
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            tell("revoked", partitions);
        }

        private void tell(String what, Collection<TopicPartition> partitions) {
            ObjectNode node = JSON.createObjectNode();
            ArrayNode list = node.putArray(what);
            partitions.forEach(partition -> list.addArray().add(partition.topic()).add(partition.partition()));
            out.println(node);
            out.flush();
        }
    }
}
