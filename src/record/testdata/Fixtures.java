// Writes the fixtures of this directory with Apache Kafka 4.2.0's own classes (kafka-clients, kafka-storage and what they need on
// the class path):
//
//     java -cp '<jars>/*' Fixtures.java batches > batches.txt
//     java -cp '<jars>/*' Fixtures.java verdicts 42 250 > verdicts.txt
//
// batches.txt:  name hex                                   batches as Kafka's client writes them
// verdicts.txt: input options | input hex | error code | output hex
//               what Kafka's produce path makes of good and of mutated batches; the seed and the number are arguments
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.util.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.utils.*;
import org.apache.kafka.storage.internals.log.*;

public class Fixtures {
    static final long NOW = 1_700_000_000_000L;
    static final int CRC_AT = 17, ATTRIBUTES_AT = 21, PAYLOAD_AT = 61;

    record Settings(int version, int maxMessage, int segment, TimestampType type, long before, long after, boolean compact, String target) {
        public String toString() {
            return version + " " + maxMessage + " " + segment + " " + type.name + " " + before + " " + after + " " + compact + " " + target;
        }
    }

    static byte[] bytes(MemoryRecords records) {
        ByteBuffer buffer = records.buffer().duplicate();
        byte[] out = new byte[buffer.remaining()];
        buffer.get(out);
        return out;
    }

    static byte[] build(CompressionType codec, TimestampType type, long pid, boolean transactional, SimpleRecord... records) {
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(ByteBuffer.allocate(1024), (byte) 2, Compression.of(codec).build(), type, 0L, NOW,
            pid, (short) (pid < 0 ? -1 : 5), pid < 0 ? -1 : 10, transactional, false, -1, 1 << 20);
        for (SimpleRecord record : records) builder.append(record);
        return bytes(builder.build());
    }

    static SimpleRecord[] records() {
        Header[] headers = {new RecordHeader("trace", "abc".getBytes()), new RecordHeader("none", (byte[]) null)};
        return new SimpleRecord[] {
            new SimpleRecord(NOW - 1000, "key".getBytes(), "value".getBytes(), headers),
            new SimpleRecord(NOW, null, "without a key".getBytes()),
            new SimpleRecord(NOW - 5000, "tombstone".getBytes(), null),
            new SimpleRecord(NOW + 7, "big".getBytes(), "0123456789".repeat(30).getBytes()),
        };
    }

    static SimpleRecord[] keyed(int count) {
        SimpleRecord[] out = new SimpleRecord[count];
        for (int i = 0; i < count; i++) out[i] = new SimpleRecord(NOW + i, ("k" + i).getBytes(), ("v" + i).getBytes());
        return out;
    }

    static void batches() {
        Map<String, byte[]> all = new TreeMap<>();
        for (CompressionType codec : CompressionType.values())
            all.put("codec_" + codec.name, build(codec, TimestampType.CREATE_TIME, -1, false, records()));
        SimpleRecord[] many = new SimpleRecord[300];
        for (int i = 0; i < many.length; i++) many[i] = new SimpleRecord(NOW + i, null, ("0123456789".repeat(50) + i).getBytes());
        for (CompressionType codec : CompressionType.values())
            if (codec != CompressionType.NONE) all.put("blocks_" + codec.name, build(codec, TimestampType.CREATE_TIME, -1, false, many));
        all.put("plain", build(CompressionType.NONE, TimestampType.CREATE_TIME, -1, false, new SimpleRecord(NOW, "hello".getBytes())));
        all.put("idempotent", build(CompressionType.NONE, TimestampType.CREATE_TIME, 4711, false, keyed(3)));
        all.put("transactional", build(CompressionType.LZ4, TimestampType.CREATE_TIME, 4711, true, keyed(3)));
        all.put("log_append_time", build(CompressionType.NONE, TimestampType.LOG_APPEND_TIME, -1, false, keyed(2)));
        for (ControlRecordType type : List.of(ControlRecordType.COMMIT, ControlRecordType.ABORT))
            all.put("marker_" + type.name().toLowerCase(Locale.ROOT), bytes(MemoryRecords.withEndTransactionMarker(9L, NOW, 3, 4711L, (short) 5,
                new EndTransactionMarker(type, 12))));
        all.put("leader_change", bytes(MemoryRecords.withLeaderChangeMessage(7L, NOW, 2, ByteBuffer.allocate(512),
            new LeaderChangeMessage().setLeaderId(1))));
        for (byte magic : new byte[] {0, 1}) {
            MemoryRecordsBuilder old = new MemoryRecordsBuilder(ByteBuffer.allocate(512), magic, Compression.NONE, TimestampType.CREATE_TIME, 0L,
                NOW, -1, (short) -1, -1, false, false, -1, 512);
            old.append(NOW, "k".getBytes(), "old".getBytes());
            all.put("magic_" + magic, bytes(old.build()));
        }
        all.forEach((name, batch) -> System.out.println(name + " " + HexFormat.of().formatHex(batch)));
    }

    @SuppressWarnings("unchecked")
    static <T> T stub(Class<T> type) {
        return (T) Proxy.newProxyInstance(Fixtures.class.getClassLoader(), new Class<?>[] {type}, (proxy, method, args) -> {
            if (method.getReturnType() == long.class) return method.getName().equals("milliseconds") ? NOW : 0L;
            return null;
        });
    }

    // The order of a leader's append: request, batches, LogValidator, size again, segment.
    static byte[] produce(byte[] input, Settings settings) {
        MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(input.clone()));
        ProduceRequest.validateRecords((short) settings.version, records);
        CompressionType source = CompressionType.NONE;
        int valid = 0;
        for (MutableRecordBatch batch : records.batches()) {
            if (batch.baseOffset() != 0) throw new InvalidRecordException("base offset");
            if (batch.sizeInBytes() > settings.maxMessage) throw new RecordTooLargeException("size");
            if (!batch.isValid()) throw new CorruptRecordException("crc");
            source = CompressionType.forId(batch.compressionType().id);
            valid += batch.sizeInBytes();
        }
        ByteBuffer trimmed = records.buffer().duplicate();
        trimmed.limit(valid);
        LogValidator validator = new LogValidator(MemoryRecords.readableRecords(trimmed), new TopicPartition("t", 0), stub(Time.class), source,
            org.apache.kafka.server.record.BrokerCompressionType.targetCompression(settings.target.equals("producer") ? Optional.empty()
                : Optional.of(Compression.of(settings.target.equals("uncompressed") ? "none" : settings.target).build()), source),
            settings.compact, (byte) 2, settings.type, settings.before, settings.after, -1, AppendOrigin.CLIENT);
        var result = validator.validateMessagesAndAssignOffsets(PrimitiveRef.ofLong(0), stub(LogValidator.MetricsRecorder.class), BufferSupplier.NO_CACHING);
        MemoryRecords out = result.validatedRecords();
        if (result.messageSizeMaybeChanged())
            for (MutableRecordBatch batch : out.batches())
                if (batch.sizeInBytes() > settings.maxMessage) throw new RecordTooLargeException("size after");
        if (out.sizeInBytes() > settings.segment) throw new RecordBatchTooLargeException("segment");
        return bytes(out);
    }

    static void sealCrc(byte[] batch) {
        ByteBuffer.wrap(batch).putInt(CRC_AT, (int) Crc32C.compute(batch, ATTRIBUTES_AT, batch.length - ATTRIBUTES_AT));
    }

    static byte[] payloadOf(byte[] batch) throws Exception {
        var parsed = (DefaultRecordBatch) MemoryRecords.readableRecords(ByteBuffer.wrap(batch)).batches().iterator().next();
        return parsed.recordInputStream(BufferSupplier.NO_CACHING).readAllBytes();
    }

    static byte[] withPayload(byte[] batch, byte[] payload, CompressionType codec) throws Exception {
        ByteBufferOutputStream out = new ByteBufferOutputStream(1 << 16);
        try (var stream = Compression.of(codec).build().wrapForOutput(out, (byte) 2)) {
            stream.write(payload);
        }
        ByteBuffer compressed = out.buffer().flip();
        byte[] result = Arrays.copyOf(batch, PAYLOAD_AT + compressed.remaining());
        compressed.get(result, PAYLOAD_AT, compressed.remaining());
        ByteBuffer.wrap(result).putInt(8, result.length - 12).putShort(ATTRIBUTES_AT, (short) (batch[22] & ~7 | codec.id));
        sealCrc(result);
        return result;
    }

    static byte[] mutate(byte[] batch, Random random) throws Exception {
        byte[] out = batch.clone();
        CompressionType codec = CompressionType.forId(out[22] & 7);
        switch (random.nextInt(10)) {
            case 0, 1, 2, 3: {  // a byte of the records, under the codec
                byte[] payload = payloadOf(batch);
                payload[random.nextInt(payload.length)] = (byte) (random.nextBoolean() ? random.nextInt(256) : random.nextInt(4));
                return withPayload(batch, payload, codec);
            }
            case 4: {  // records longer or shorter than declared
                byte[] payload = payloadOf(batch);
                int length = Math.max(0, payload.length + random.nextInt(9) - 5);
                return withPayload(batch, Arrays.copyOf(payload, length), codec);
            }
            case 5, 6: {  // a byte of the header that the CRC covers
                int at = ATTRIBUTES_AT + random.nextInt(PAYLOAD_AT - ATTRIBUTES_AT);
                if (at == 22 && random.nextInt(3) > 0) at = 21;
                out[at] ^= (byte) (1 << random.nextInt(8));
                sealCrc(out);
                return out;
            }
            case 7:  // any byte, CRC as it was
                out[random.nextInt(out.length)] ^= (byte) (1 << random.nextInt(8));
                return out;
            case 8:  // cut
                return Arrays.copyOf(out, random.nextInt(out.length));
            default: {  // something after it
                byte[] more = Arrays.copyOf(out, out.length + 1 + random.nextInt(out.length));
                System.arraycopy(out, 0, more, out.length, more.length - out.length);
                return more;
            }
        }
    }

    static <T> T pick(Random random, List<T> list) {
        return list.get(random.nextInt(list.size()));
    }

    static Settings settings(Random random) {
        boolean simple = random.nextInt(2) == 0;
        if (simple) return new Settings(13, 1048588, 1 << 30, TimestampType.CREATE_TIME, Long.MAX_VALUE, 3600000, false, "producer");
        return new Settings(pick(random, List.of(3, 6, 7, 13)), pick(random, List.of(100, 300, 1048588)), pick(random, List.of(200, 1 << 30)),
            pick(random, List.of(TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME)), pick(random, List.of(Long.MAX_VALUE, 3000L)),
            pick(random, List.of(3600000L, 3L)), random.nextInt(3) == 0,
            pick(random, List.of("producer", "producer", "uncompressed", "gzip", "snappy", "lz4", "zstd")));
    }

    static void verdicts(long seed, int count) throws Exception {
        Random random = new Random(seed);
        for (int i = 0; i < count; i++) {
            CompressionType codec = pick(random, List.of(CompressionType.values()));
            boolean idempotent = random.nextBoolean();
            byte[] batch = build(codec, random.nextInt(8) == 0 ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME, idempotent ? 4711 : -1,
                idempotent && random.nextBoolean(), random.nextBoolean() ? records() : keyed(1 + random.nextInt(5)));
            byte[] input = random.nextInt(5) == 0 ? batch : mutate(batch, random);
            Settings settings = settings(random);
            Errors error = Errors.NONE;
            byte[] output = {};
            String why = "";
            try {
                output = produce(input, settings);
            } catch (Throwable e) {
                Throwable cause = e instanceof RecordValidationException rejected ? rejected.invalidException() : e;
                error = Errors.forException(cause);
                why = String.valueOf(cause).replace('\n', ' ').replace('|', ' ');
            }
            System.out.println(settings + "|" + HexFormat.of().formatHex(input) + "|" + error.code() + "|" + HexFormat.of().formatHex(output)
                + (System.getenv("WHY") == null ? "" : "|" + why));
        }
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("batches")) batches();
        else verdicts(Long.parseLong(args[1]), Integer.parseInt(args[2]));
    }
}
