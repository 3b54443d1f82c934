import java.io.BufferedWriter;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Reads each message with the class that Apache Kafka generated for it, and writes it again. A line of input is a class, a version
 * and the message in hex, or "default" for a new object; a line of output is what was written, or "refused".
 */
public class RoundTrip {
    private static final String[] PACKAGES = {
        "org.apache.kafka.common.message.", "org.apache.kafka.common.metadata.", "org.apache.kafka.coordinator.group.generated.",
        "org.apache.kafka.coordinator.transaction.generated.", "org.apache.kafka.coordinator.share.generated.",
        "org.apache.kafka.server.log.remote.metadata.storage.generated.",
    };
    private static final Map<String, Class<?>> CLASSES = new HashMap<>();

    private static Class<?> find(String name) {
        for (String prefix : PACKAGES) {
            try {
                return Class.forName(prefix + name);
            } catch (ClassNotFoundException e) {
                // In another package.
            }
        }
        throw new IllegalArgumentException("no class " + name);
    }

    private static String roundTrip(String name, short version, String hex) throws Exception {
        Message message = (Message) CLASSES.computeIfAbsent(name, RoundTrip::find).getDeclaredConstructor().newInstance();
        if (!hex.equals("default")) {
            ByteBuffer in = ByteBuffer.wrap(HexFormat.of().parseHex(hex));
            message.read(new ByteBufferAccessor(in), version);
            if (in.hasRemaining()) {
                throw new IllegalStateException(name + " v" + version + " left " + in.remaining() + " bytes of " + hex);
            }
        }
        try {
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer out = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(out), cache, version);
            return HexFormat.of().formatHex(out.array());
        } catch (Exception e) {
            if (!hex.equals("default")) {
                throw e;
            }
            return "refused";
        }
    }

    public static void main(String[] arguments) throws Exception {
        try (BufferedWriter out = Files.newBufferedWriter(Path.of(arguments[1]))) {
            for (String line : Files.readAllLines(Path.of(arguments[0]))) {
                String[] words = line.split(" ", -1);
                try {
                    out.write(roundTrip(words[0], Short.parseShort(words[1]), words[2]));
                } catch (Exception e) {
                    throw new IllegalStateException(line, e);
                }
                out.newLine();
            }
        }
    }
}
