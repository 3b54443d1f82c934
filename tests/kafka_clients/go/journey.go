package main

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The numbers of a journey; the records are young enough for the retention.
const (
	retentionMs  = "3600000"
	ago          = 30 * time.Minute
	records      = 30
	wanted       = 10
	tooLarge     = 2_000_000
	behindTheEnd = 1_000_000
	settle       = 15 * time.Second
)

func errorText(err error) any {
	if err == nil {
		return nil
	}
	return err.Error()
}

// until asks until the answer is enough: what an admin call did is seen a little later.
func until[T any](ask func() T, enough func(T) bool) T {
	for deadline := time.Now().Add(settle); ; time.Sleep(100 * time.Millisecond) {
		if seen := ask(); enough(seen) || time.Now().After(deadline) {
			return seen
		}
	}
}

// journey is one of everything that an application asks of a cluster; see tests/support/peers.rs.
func journey(ctx context.Context, bootstrap string, t task, out *json.Encoder) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(2*tooLarge),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DefaultProduceTopic(t.Topic))
	must(err)
	defer client.Close()
	admin := kadm.NewClient(client)
	answer := map[string]any{}

	retention := retentionMs
	create := func() error {
		_, err := admin.CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": &retention}, t.Topic)
		return err
	}
	must(create())
	answer["exists"] = errorText(create())
	absent, err := admin.DeleteTopics(ctx, t.Topic+"-absent")
	must(err)
	answer["absent"] = errorText(absent.Error())
	configs, err := admin.DescribeTopicConfigs(ctx, t.Topic)
	must(err)
	for _, config := range configs[0].Configs {
		if config.Key == "retention.ms" {
			answer["retention"] = config.MaybeValue()
		}
	}

	base := time.Now().Add(-ago)
	for number := range records {
		value := []byte(strconv.Itoa(number))
		record := &kgo.Record{Value: value, Timestamp: base.Add(time.Duration(number) * time.Millisecond)}
		must(client.ProduceSync(ctx, record).FirstErr())
	}
	answer["too_large"] = errorText(client.ProduceSync(ctx, &kgo.Record{Value: make([]byte, tooLarge)}).FirstErr())

	found, err := admin.ListOffsetsAfterMilli(ctx, base.UnixMilli()+wanted, t.Topic)
	must(err)
	byTime, _ := found.Lookup(t.Topic, 0)
	must(byTime.Err)
	answer["by_time"] = byTime.Offset
	read := func(offset int64) (*kgo.Record, error) {
		reader, err := kgo.NewClient(
			kgo.SeedBrokers(bootstrap), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t.Topic: {0: kgo.NewOffset().At(offset)}}))
		must(err)
		defer reader.Close()
		fetches := reader.PollRecords(ctx, 1)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		return fetches.Records()[0], nil
	}
	record, err := read(byTime.Offset)
	must(err)
	answer["value"] = string(record.Value)
	_, err = read(behindTheEnd)
	answer["out_of_range"] = errorText(err)
	offsets := kadm.Offsets{}
	offsets.AddOffset(t.Topic, 0, byTime.Offset+1, -1)
	must(admin.CommitAllOffsets(ctx, t.Group, offsets))
	committed, err := admin.FetchOffsets(ctx, t.Group)
	must(err)
	first, _ := committed.Lookup(t.Topic, 0)
	answer["committed"] = first.At

	added, err := admin.UpdatePartitions(ctx, 5, t.Topic)
	must(err)
	must(added.Error())
	answer["partitions"] = until(func() int {
		topics, err := admin.ListTopics(ctx, t.Topic)
		must(err)
		return len(topics[t.Topic].Partitions)
	}, func(seen int) bool { return seen == 5 })
	brokers, err := admin.ListBrokers(ctx)
	must(err)
	answer["nodes"] = len(brokers)
	groups, err := admin.ListGroups(ctx)
	must(err)
	_, answer["listed"] = groups[t.Group]
	deleted, err := admin.DeleteTopics(ctx, t.Topic)
	must(err)
	must(deleted.Error())
	answer["deleted"] = until(func() bool {
		topics, err := admin.ListTopics(ctx)
		must(err)
		return !topics.Has(t.Topic)
	}, func(gone bool) bool { return gone })
	must(out.Encode(answer))
}
