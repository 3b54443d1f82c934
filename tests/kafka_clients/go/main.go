// The Go client franz-go as a test peer: JSON lines in, JSON lines out, as the Java and Python peers do.
// The tasks and answers are described in tests/support/peers.rs.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
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
	// Of verify_numbered.
	Partition        int32  `json:"partition"`
	From             int64  `json:"from"`
	FromNumberByTime *int64 `json:"from_number_by_time"`
	End              int64  `json:"end"`
	Size             int64  `json:"size"`
	BaseTimestamp    int64  `json:"base_timestamp"`
	MayJump          bool   `json:"may_jump"`
	// Of member and journey.
	Group            string   `json:"group"`
	Name             string   `json:"name"`
	Topics           []string `json:"topics"`
	Instance         *string  `json:"instance"`
	SessionTimeoutMs int64    `json:"session_timeout_ms"`
	Go               struct {
		FetchMaxBytes          int32 `json:"fetch_max_bytes"`
		FetchMaxPartitionBytes int32 `json:"fetch_max_partition_bytes"`
	} `json:"go"`
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

func tohex(data []byte) *string {
	if data == nil {
		return nil
	}
	text := hex.EncodeToString(data)
	return &text
}

func codec(name string) kgo.CompressionCodec {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	found, known := codecs[name]
	if !known {
		must(fmt.Errorf("no codec %s", name))
	}
	return found
}

func produce(ctx context.Context, bootstrap string, t task, out *json.Encoder) {
	options := []kgo.Opt{
		kgo.SeedBrokers(bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec(t.Codec)),
		kgo.ProducerLinger(5 * time.Millisecond), kgo.DefaultProduceTopic(t.Topic), kgo.AllowAutoTopicCreation(),
	}
	switch t.Acks {
	case "all":
		options = append(options, kgo.RequiredAcks(kgo.AllISRAcks()))
	case "1":
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()))
	case "0":
		options = append(options, kgo.RequiredAcks(kgo.NoAck()))
	}
	if !t.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(options...)
	must(err)
	defer client.Close()
	acks := make([][2]int64, len(t.Records))
	var wait sync.WaitGroup
	for index, r := range t.Records {
		sent := &kgo.Record{
			Key: unhex(r.Key), Value: unhex(r.Value), Partition: r.Partition, Timestamp: time.UnixMilli(r.Timestamp),
		}
		for _, header := range r.Headers {
			sent.Headers = append(sent.Headers, kgo.RecordHeader{Key: *header[0], Value: unhex(header[1])})
		}
		wait.Add(1)
		client.Produce(ctx, sent, func(done *kgo.Record, err error) {
			must(err)
			acks[index] = [2]int64{int64(done.Partition), done.Offset}
			wait.Done()
		})
	}
	wait.Wait()
	must(out.Encode(map[string]any{"topic": t.Topic, "acks": acks}))
}

func consume(ctx context.Context, bootstrap string, t task, out *json.Encoder) {
	starts := map[string]map[int32]kgo.Offset{}
	ends := map[string]map[int32]int64{}
	for _, p := range t.Partitions {
		if starts[p.Topic] == nil {
			starts[p.Topic], ends[p.Topic] = map[int32]kgo.Offset{}, map[int32]int64{}
		}
		start := kgo.NewOffset().At(p.From)
		if p.FromTimestamp != nil {
			start = kgo.NewOffset().AfterMilli(*p.FromTimestamp)
		}
		if p.From < p.End {
			starts[p.Topic][p.Partition] = start
			ends[p.Topic][p.Partition] = p.End
		}
	}
	options := []kgo.Opt{kgo.SeedBrokers(bootstrap), kgo.ConsumePartitions(starts), kgo.ConsumeResetOffset(kgo.NoResetOffset())}
	if t.Go.FetchMaxBytes > 0 {
		options = append(options, kgo.FetchMaxBytes(t.Go.FetchMaxBytes), kgo.FetchMaxPartitionBytes(t.Go.FetchMaxPartitionBytes))
	}
	client, err := kgo.NewClient(options...)
	must(err)
	defer client.Close()
	waiting := 0
	for _, partitions := range ends {
		waiting += len(partitions)
	}
	for waiting > 0 {
		fetches := client.PollFetches(ctx)
		must(ctx.Err())
		fetches.EachError(func(topic string, partition int32, err error) {
			must(fmt.Errorf("%s-%d: %w", topic, partition, err))
		})
		fetches.EachRecord(func(r *kgo.Record) {
			dumped := record{
				Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(),
				Key: tohex(r.Key), Value: tohex(r.Value), Headers: [][2]*string{},
			}
			for _, header := range r.Headers {
				dumped.Headers = append(dumped.Headers, [2]*string{&header.Key, tohex(header.Value)})
			}
			must(out.Encode(dumped))
			if r.Offset+1 == ends[r.Topic][r.Partition] {
				waiting--
			}
		})
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
		if t.Do == "member" {
			member(os.Args[1], t, in)
			return
		}
		seconds := t.Seconds
		if seconds == 0 {
			seconds = defaultSeconds
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
		switch t.Do {
		case "produce":
			produce(ctx, os.Args[1], t, out)
		case "consume":
			consume(ctx, os.Args[1], t, out)
		case "journey":
			journey(ctx, os.Args[1], t, out)
		case "verify_numbered":
			verifyNumbered(ctx, os.Args[1], t, out)
		default:
			must(fmt.Errorf("what is %s", t.Do))
		}
		cancel()
		must(buffered.Flush())
	}
	must(in.Err())
}
