// The Go client sarama as a test peer: JSON lines in, JSON lines out.
// The tasks and answers are described in tests/support/peers.rs.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/IBM/sarama"
)

const defaultSeconds = 60

type record struct {
	Topic     string       `json:"topic,omitempty"`
	Partition int32        `json:"partition"`
	Offset    int64        `json:"offset"`
	Timestamp int64        `json:"timestamp"`
	Key       *string      `json:"key"`
	Value     *string      `json:"value"`
	Headers   [][2]*string `json:"headers"`
}

type place struct {
	Topic         string `json:"topic"`
	Partition     int32  `json:"partition"`
	From          int64  `json:"from"`
	FromTimestamp *int64 `json:"from_timestamp"`
	End           int64  `json:"end"`
}

type task struct {
	Do         string   `json:"do"`
	Topic      string   `json:"topic"`
	Codec      string   `json:"codec"`
	Acks       string   `json:"acks"`
	Idempotent bool     `json:"idempotent"`
	Records    []record `json:"records"`
	Partitions []place  `json:"partitions"`
	Seconds    int      `json:"seconds"`
	// Of member and journey.
	Group            string   `json:"group"`
	Name             string   `json:"name"`
	Topics           []string `json:"topics"`
	Instance         *string  `json:"instance"`
	SessionTimeoutMs int64    `json:"session_timeout_ms"`
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func unhex(text *string) []byte {
	if text == nil {
		return nil
	}
	data, err := hex.DecodeString(*text)
	must(err)
	if data == nil {
		data = []byte{}
	}
	return data
}

// An encoder that is nil where the text is: a nil slice in an encoder is an empty one on the wire.
func encoder(text *string) sarama.Encoder {
	if text == nil {
		return nil
	}
	return sarama.ByteEncoder(unhex(text))
}

func tohex(data []byte) *string {
	if data == nil {
		return nil
	}
	text := hex.EncodeToString(data)
	return &text
}

func producerConfig(t task) *sarama.Config {
	codecs := map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	}
	acks := map[string]sarama.RequiredAcks{"all": sarama.WaitForAll, "1": sarama.WaitForLocal, "0": sarama.NoResponse}
	codec, known := codecs[t.Codec]
	if !known {
		must(fmt.Errorf("no codec %s", t.Codec))
	}
	config := sarama.NewConfig()
	config.Producer.Compression = codec
	config.Producer.RequiredAcks = acks[t.Acks]
	config.Producer.Idempotent = t.Idempotent
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	// Otherwise it sends everything that waits, up to the size of a request, as one batch.
	config.Producer.Flush.MaxMessages = 50
	config.Producer.Return.Successes = true
	if t.Idempotent {
		config.Net.MaxOpenRequests = 1
	}
	return config
}

func produce(bootstrap string, t task, out *json.Encoder) {
	producer, err := sarama.NewAsyncProducer([]string{bootstrap}, producerConfig(t))
	must(err)
	go func() {
		for index, r := range t.Records {
			message := &sarama.ProducerMessage{
				Topic: t.Topic, Partition: r.Partition, Timestamp: time.UnixMilli(r.Timestamp), Metadata: index,
				Key: encoder(r.Key), Value: encoder(r.Value),
			}
			for _, header := range r.Headers {
				message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(*header[0]), Value: unhex(header[1])})
			}
			producer.Input() <- message
		}
	}()
	acks := make([][2]int64, len(t.Records))
	for range t.Records {
		select {
		case done := <-producer.Successes():
			// Without acks the client says 0.
			if t.Acks == "0" {
				done.Offset = -1
			}
			acks[done.Metadata.(int)] = [2]int64{int64(done.Partition), done.Offset}
		case err := <-producer.Errors():
			must(err)
		}
	}
	must(producer.Close())
	must(out.Encode(map[string]any{"topic": t.Topic, "acks": acks}))
}

func consume(bootstrap string, t task, out *json.Encoder) {
	client, err := sarama.NewClient([]string{bootstrap}, sarama.NewConfig())
	must(err)
	consumer, err := sarama.NewConsumerFromClient(client)
	must(err)
	seconds := t.Seconds
	if seconds == 0 {
		seconds = defaultSeconds
	}
	deadline := time.After(time.Duration(seconds) * time.Second)
	// All of them fetch at the same time; each is dumped when its turn comes.
	readers := make([]sarama.PartitionConsumer, len(t.Partitions))
	for index, p := range t.Partitions {
		start := p.From
		if p.FromTimestamp != nil {
			start, err = client.GetOffset(p.Topic, p.Partition, *p.FromTimestamp)
			must(err)
		}
		if start < p.End {
			readers[index], err = consumer.ConsumePartition(p.Topic, p.Partition, start)
			must(err)
		}
	}
	for index, p := range t.Partitions {
		for next := p.From; readers[index] != nil && next < p.End; {
			select {
			case m := <-readers[index].Messages():
				dumped := record{
					Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Timestamp: m.Timestamp.UnixMilli(),
					Key: tohex(m.Key), Value: tohex(m.Value), Headers: [][2]*string{},
				}
				for _, header := range m.Headers {
					name := string(header.Key)
					dumped.Headers = append(dumped.Headers, [2]*string{&name, tohex(header.Value)})
				}
				must(out.Encode(dumped))
				next = m.Offset + 1
			case <-deadline:
				must(fmt.Errorf("time is up at %d of %s-%d", next, p.Topic, p.Partition))
			}
		}
		if readers[index] != nil {
			// Its messages that nobody wants would otherwise be waited for.
			readers[index].AsyncClose()
		}
	}
	must(out.Encode(map[string]any{"done": true}))
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<30)
	buffered := bufio.NewWriter(os.Stdout)
	out := json.NewEncoder(buffered)
	for in.Scan() {
		var t task
		must(json.Unmarshal(in.Bytes(), &t))
		switch t.Do {
		case "member":
			member(os.Args[1], t, in)
			return
		case "produce":
			produce(os.Args[1], t, out)
		case "consume":
			consume(os.Args[1], t, out)
		case "journey":
			journey(os.Args[1], t, out)
		default:
			must(fmt.Errorf("what is %s", t.Do))
		}
		must(buffered.Flush())
	}
	must(in.Err())
}
