package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// A member of a consumer group until standard input ends; see tests/support/members.rs.
func member(bootstrap string, t task, in *bufio.Scanner) {
	config := sarama.NewConfig()
	config.ClientID = t.Name
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Session.Timeout = time.Duration(t.SessionTimeoutMs) * time.Millisecond
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	if t.Instance != nil {
		config.Consumer.Group.InstanceId = *t.Instance
	}
	admin, err := sarama.NewClusterAdmin([]string{bootstrap}, sarama.NewConfig())
	must(err)
	group, err := sarama.NewConsumerGroup([]string{bootstrap}, t.Group, config)
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for in.Scan() {
		}
		cancel()
	}()
	m := &groupMember{group: t.Group, admin: admin, out: json.NewEncoder(os.Stdout)}
	for ctx.Err() == nil {
		// It returns when the group rebalances, and with an error when the broker is gone.
		if err := group.Consume(ctx, t.Topics, m); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, t.Name, err)
			time.Sleep(200 * time.Millisecond)
		}
	}
	must(group.Close())
	m.tell(map[string]any{"left": true})
}

type groupMember struct {
	group string
	admin sarama.ClusterAdmin
	lock  sync.Mutex
	out   *json.Encoder
}

func (m *groupMember) tell(line any) {
	must(m.out.Encode(line))
}

func (m *groupMember) changed(what string, claims map[string][]int32) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	list := [][2]any{}
	for topic, numbers := range claims {
		for _, number := range numbers {
			list = append(list, [2]any{topic, number})
		}
	}
	m.tell(map[string]any{what: list})
	return nil
}

func (m *groupMember) Setup(session sarama.ConsumerGroupSession) error {
	return m.changed("assigned", session.Claims())
}

func (m *groupMember) Cleanup(session sarama.ConsumerGroupSession) error {
	return m.changed("revoked", session.Claims())
}

func (m *groupMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case <-session.Context().Done():
			return nil
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			read := []*sarama.ConsumerMessage{message}
			for more := true; more && len(read) < 500; {
				select {
				case message, open := <-claim.Messages():
					if more = open; open {
						read = append(read, message)
					}
				default:
					more = false
				}
			}
			m.commit(session, read)
		}
	}
}

// Commit says nothing, also when the broker refused; so the broker is asked what is committed.
func (m *groupMember) commit(session sarama.ConsumerGroupSession, read []*sarama.ConsumerMessage) {
	m.lock.Lock()
	defer m.lock.Unlock()
	last := read[len(read)-1]
	session.MarkMessage(last, "")
	session.Commit()
	committed, err := m.admin.ListConsumerGroupOffsets(m.group, map[string][]int32{last.Topic: {last.Partition}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	block := committed.GetBlock(last.Topic, last.Partition)
	if block == nil || block.Offset <= last.Offset {
		// Somebody else reads them again.
		return
	}
	for _, message := range read {
		m.tell(map[string]any{"read": [3]any{message.Topic, message.Partition, message.Offset}})
	}
}
