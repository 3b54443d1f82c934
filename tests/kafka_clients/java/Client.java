import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * The Java client as a test peer: tasks come as JSON lines on standard input, answers leave as JSON lines on standard output.
 * The same tasks and answers are spoken by the Python and Go peers; tests/support/peers.rs describes them.
 */
public final class Client {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final HexFormat HEX = HexFormat.of();
    private static final int SECONDS = 60;
    private static PrintStream out;

    private Client() { }

    public static void main(String[] args) throws Exception {
        out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode task = JSON.readTree(line);
            switch (task.get("do").asText()) {
                case "produce" -> produce(args[0], task);
                case "consume" -> consume(args[0], task);
                case "produce_numbered" -> Numbered.produce(args[0], settings(args[0], task), task, out);
                case "member" -> Member.run(settings(args[0], task), task, in, out);
                case "journey" -> Journey.run(settings(args[0], task), task, out);
                case "verify_numbered" -> Numbered.verify(settings(args[0], task), task, out);
                default -> throw new IllegalArgumentException(line);
            }
            out.flush();
        }
        out.close();
    }

    private static Properties settings(String bootstrap, JsonNode task) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        task.path("java").properties().forEach(entry -> settings.put(entry.getKey(), entry.getValue().asText()));
        return settings;
    }

    private static byte[] bytes(JsonNode hex) {
        return hex == null || hex.isNull() ? null : HEX.parseHex(hex.asText());
    }

    private static String hex(byte[] bytes) {
        return bytes == null ? null : HEX.formatHex(bytes);
    }

    private static void produce(String bootstrap, JsonNode task) throws Exception {
        Properties settings = settings(bootstrap, task);
        settings.put("compression.type", task.get("codec").asText());
        settings.put("acks", task.get("acks").asText());
        settings.put("enable.idempotence", task.get("idempotent").asText());
        settings.put("linger.ms", "5");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        ArrayNode acks = JSON.createArrayNode();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (JsonNode node : task.get("records")) {
                ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(task.get("topic").asText(),
                    node.get("partition").asInt(), node.get("timestamp").asLong(), bytes(node.get("key")), bytes(node.get("value")));
                for (JsonNode header : node.get("headers")) {
                    record.headers().add(header.get(0).asText(), bytes(header.get(1)));
                }
                sent.add(producer.send(record));
            }
            for (Future<RecordMetadata> future : sent) {
                RecordMetadata metadata = future.get(SECONDS, TimeUnit.SECONDS);
                acks.addArray().add(metadata.partition()).add(metadata.hasOffset() ? metadata.offset() : -1);
            }
        }
        ObjectNode answer = JSON.createObjectNode();
        answer.set("topic", task.get("topic"));
        answer.set("acks", acks);
        out.println(answer);
    }

    private static void consume(String bootstrap, JsonNode task) throws Exception {
        Properties settings = settings(bootstrap, task);
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "none");
        settings.put("check.crcs", "true");
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            Map<TopicPartition, Long> ends = new HashMap<>();
            Map<TopicPartition, Long> times = new HashMap<>();
            for (JsonNode node : task.get("partitions")) {
                TopicPartition partition = new TopicPartition(node.get("topic").asText(), node.get("partition").asInt());
                ends.put(partition, node.get("end").asLong());
                if (node.hasNonNull("from_timestamp")) {
                    times.put(partition, node.get("from_timestamp").asLong());
                }
            }
            consumer.assign(ends.keySet());
            for (JsonNode node : task.get("partitions")) {
                consumer.seek(new TopicPartition(node.get("topic").asText(), node.get("partition").asInt()), node.path("from").asLong(0));
            }
            for (Map.Entry<TopicPartition, OffsetAndTimestamp> found : consumer.offsetsForTimes(times).entrySet()) {
                consumer.seek(found.getKey(), found.getValue().offset());
            }
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(task.path("seconds").asInt(SECONDS));
            while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
                if (System.nanoTime() > deadline) {
                    ends.forEach((partition, end) -> {
                        if (consumer.position(partition) < end) {
                            System.err.println(partition + " is at " + consumer.position(partition) + ", wanted " + end);
                        }
                    });
                    throw new IllegalStateException("time is up");
                }
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    out.println(dump(record));
                }
            }
        }
        out.println("{\"done\":true}");
    }

    private static ObjectNode dump(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode node = JSON.createObjectNode();
        node.put("topic", record.topic());
        node.put("partition", record.partition());
        node.put("offset", record.offset());
        node.put("timestamp", record.timestamp());
        node.put("key", hex(record.key()));
        node.put("value", hex(record.value()));
        ArrayNode headers = node.putArray("headers");
        for (Header header : record.headers()) {
            headers.addArray().add(header.key()).add(hex(header.value()));
        }
        return node;
    }
}
