package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// numbered is the value of record n; see java/Numbered.java.
func numbered(number, size int64) []byte {
	value := bytes.Repeat([]byte{byte(number % 251)}, int(size+number%997))
	copy(value, fmt.Sprintf("%010d", number))
	return value
}

func verifyNumbered(ctx context.Context, bootstrap string, t task, out *json.Encoder) {
	expected := t.From
	start := kgo.NewOffset().At(t.From)
	if t.FromNumberByTime != nil {
		expected = *t.FromNumberByTime
		start = kgo.NewOffset().AfterMilli(t.BaseTimestamp + expected)
	}
	reset := kgo.NoResetOffset()
	if t.MayJump {
		reset = kgo.NewOffset().AtStart()
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(bootstrap), kgo.ConsumeResetOffset(reset),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t.Topic: {t.Partition: start}}),
	}
	if t.Go.FetchMaxBytes > 0 {
		options = append(options, kgo.FetchMaxBytes(t.Go.FetchMaxBytes), kgo.FetchMaxPartitionBytes(t.Go.FetchMaxPartitionBytes))
	}
	client, err := kgo.NewClient(options...)
	must(err)
	defer client.Close()
	var count, jumped int64
	for expected < t.End {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			must(fmt.Errorf("time is up at %d of %d", expected, t.End))
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			must(fmt.Errorf("%s-%d: %w", topic, partition, err))
		})
		fetches.EachRecord(func(r *kgo.Record) {
			if expected >= t.End {
				return
			}
			if r.Offset != expected && !(t.MayJump && r.Offset > expected) {
				must(fmt.Errorf("offset %d where %d belongs", r.Offset, expected))
			}
			jumped += r.Offset - expected
			expected = r.Offset
			if r.Timestamp.UnixMilli() != t.BaseTimestamp+expected || !bytes.Equal(r.Value, numbered(expected, t.Size)) {
				must(fmt.Errorf("offset %d has another record's content", expected))
			}
			expected++
			count++
		})
	}
	must(out.Encode(map[string]any{"count": count, "jumped": jumped}))
}
