import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/** Apache Kafka as a test peer: formats the log directory when it is new, then runs the server, in one process. */
public final class TestBroker {
    private TestBroker() { }

    public static void main(String[] args) throws IOException {
        Properties settings = new Properties();
        try (InputStream in = Files.newInputStream(Path.of(args[0]))) {
            settings.load(in);
        }
        String first = settings.getProperty("log.dirs").split(",")[0];
        if (!Files.exists(Path.of(first, "meta.properties"))) {
            String[] format = {"format", "--cluster-id", args[1], "--config", args[0]};
            if (kafka.tools.StorageTool.execute(format, System.out) != 0) {
                throw new IllegalStateException("formatting failed");
            }
        }
        kafka.Kafka.main(new String[] {args[0]});
    }
}
