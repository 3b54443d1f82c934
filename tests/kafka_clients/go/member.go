package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A member of a consumer group until standard input ends; see tests/support/members.rs.
func member(bootstrap string, t task, in *bufio.Scanner) {
	var lock sync.Mutex
	out := json.NewEncoder(os.Stdout)
	tell := func(line any) {
		lock.Lock()
		defer lock.Unlock()
		must(out.Encode(line))
	}
	changed := func(what string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			list := [][2]any{}
			for topic, numbers := range partitions {
				for _, number := range numbers {
					list = append(list, [2]any{topic, number})
				}
			}
			tell(map[string]any{what: list})
		}
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(bootstrap), kgo.ConsumerGroup(t.Group), kgo.ClientID(t.Name), kgo.ConsumeTopics(t.Topics...),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.Balancers(kgo.RangeBalancer()),
		kgo.SessionTimeout(time.Duration(t.SessionTimeoutMs) * time.Millisecond), kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(changed("assigned")), kgo.OnPartitionsRevoked(changed("revoked")), kgo.OnPartitionsLost(changed("revoked")),
	}
	if t.Instance != nil {
		options = append(options, kgo.InstanceID(*t.Instance))
	}
	client, err := kgo.NewClient(options...)
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for in.Scan() {
		}
		cancel()
	}()
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, 500)
		fetches.EachError(func(_ string, _ int32, err error) {
			// It joins again by itself when the broker is back.
			var outside *kgo.ErrGroupSession
			if !errors.Is(err, context.Canceled) && !errors.As(err, &outside) {
				must(err)
			}
		})
		records := fetches.Records()
		if len(records) > 0 {
			err := commit(client, records)
			lost := errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.UnknownMemberID)
			if !lost {
				must(err)
				for _, r := range records {
					tell(map[string]any{"read": [3]any{r.Topic, r.Partition, r.Offset}})
				}
			}
		}
		client.AllowRebalance()
	}
	client.Close()
	tell(map[string]any{"left": true})
}

// Commits, again and again while the broker is away: whether a commit whose answer was lost has happened is not known.
func commit(client *kgo.Client, records []*kgo.Record) error {
	for begun := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		err := client.CommitRecords(context.Background(), records...)
		var told *kerr.Error
		if err == nil || errors.As(err, &told) && !told.Retriable || time.Since(begun) > time.Minute {
			return err
		}
		if errors.Is(err, kerr.RebalanceInProgress) {
			return err
		}
	}
}
