package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/IBM/sarama"
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
	return fmt.Sprintf("%T: %v", err, err)
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
// The version is that of the brokers; the other tasks leave it to the client, which then asks in older versions.
func journey(bootstrap string, t task, out *json.Encoder) {
	config := producerConfig(task{Codec: "none", Acks: "all", Idempotent: true})
	config.Version = sarama.V4_2_0_0
	client, err := sarama.NewClient([]string{bootstrap}, config)
	must(err)
	admin, err := sarama.NewClusterAdminFromClient(client)
	must(err)
	answer := map[string]any{}

	retention := retentionMs
	detail := &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &retention}}
	must(admin.CreateTopic(t.Topic, detail, false))
	answer["exists"] = errorText(admin.CreateTopic(t.Topic, detail, false))
	answer["absent"] = errorText(admin.DeleteTopic(t.Topic + "-absent"))
	configs, err := admin.DescribeConfigs(
		[]*sarama.ConfigResource{{Type: sarama.TopicResource, Name: t.Topic}}, sarama.DescribeConfigsOptions{})
	must(err)
	for _, entry := range configs[0].Configs {
		if entry.Name == "retention.ms" {
			answer["retention"] = entry.Value
		}
	}

	base := time.Now().Add(-ago)
	producer, err := sarama.NewSyncProducerFromClient(client)
	must(err)
	for number := range records {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{
			Topic: t.Topic, Partition: 0, Timestamp: base.Add(time.Duration(number) * time.Millisecond),
			Value: sarama.StringEncoder(fmt.Sprint(number)),
		})
		must(err)
	}
	must(producer.Close())
	large := *config
	large.Producer.MaxMessageBytes = 2 * tooLarge
	producer, err = sarama.NewSyncProducer([]string{bootstrap}, &large)
	must(err)
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{
		Topic: t.Topic, Partition: 0, Value: sarama.ByteEncoder(make([]byte, tooLarge)),
	})
	answer["too_large"] = errorText(err)
	must(producer.Close())

	found, err := client.GetOffset(t.Topic, 0, base.UnixMilli()+wanted)
	must(err)
	answer["by_time"] = found
	consumer, err := sarama.NewConsumerFromClient(client)
	must(err)
	reader, err := consumer.ConsumePartition(t.Topic, 0, found)
	must(err)
	select {
	case message := <-reader.Messages():
		answer["value"] = string(message.Value)
	case <-time.After(settle):
		must(fmt.Errorf("no record at %d", found))
	}
	reader.AsyncClose()
	_, err = consumer.ConsumePartition(t.Topic, 1, behindTheEnd)
	answer["out_of_range"] = errorText(err)

	offsets, err := sarama.NewOffsetManagerFromClient(t.Group, client)
	must(err)
	managed, err := offsets.ManagePartition(t.Topic, 0)
	must(err)
	managed.MarkOffset(found+1, "")
	offsets.Commit()
	must(managed.Close())
	must(offsets.Close())
	committed, err := admin.ListConsumerGroupOffsets(t.Group, map[string][]int32{t.Topic: {0}})
	must(err)
	answer["committed"] = committed.GetBlock(t.Topic, 0).Offset

	must(admin.CreatePartitions(t.Topic, 5, nil, false))
	answer["partitions"] = until(func() int {
		described, err := admin.DescribeTopics([]string{t.Topic})
		must(err)
		return len(described[0].Partitions)
	}, func(seen int) bool { return seen == 5 })
	brokers, _, err := admin.DescribeCluster()
	must(err)
	answer["nodes"] = len(brokers)
	groups, err := admin.ListConsumerGroups()
	must(err)
	_, answer["listed"] = groups[t.Group]
	must(admin.DeleteTopic(t.Topic))
	answer["deleted"] = until(func() bool {
		topics, err := admin.ListTopics()
		must(err)
		_, there := topics[t.Topic]
		return !there
	}, func(gone bool) bool { return gone })
	must(out.Encode(answer))
}
