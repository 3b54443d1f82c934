//! What is asked for beside the session's request, which waits at the leader.

use super::*;

#[test]
fn what_is_followed_anew_does_not_wait_for_what_has_nothing_new() {
    let pair = Pair::with(10, "1", &[("replica.fetch.wait.max.ms", "5000")]);
    pair.tell_both(FIRST);
    pair.world.run_for(Duration::from_secs(1));
    assert_eq!(pair.script.asked.borrow().len(), 1, "the leader waits");
    pair.tell_both(State { version: 1, partitions: 2, ..FIRST });
    for (offset, value) in (0..).zip(["a", "b", "c"]) {
        let produced = pair.run(1, move |shards| async move {
            let begun = shards.io().now();
            let produced = produce(&shards, 1, value, -1).await;
            assert!(shards.io().now().since(begun) < Duration::from_millis(100), "{value} waited");
            produced
        });
        assert_eq!((produced.error, produced.base_offset), (ErrorCode::None, Offset(offset)));
    }
    // It asks ever more rarely while there is nothing new.
    let asked = pair.script.asked.borrow().len();
    pair.world.run_for(Duration::from_secs(2));
    assert!(pair.script.asked.borrow().len() <= asked + 8, "{} questions", pair.script.asked.borrow().len() - asked);
    pair.world.run_for(Duration::from_secs(3));
    let last = pair.script.asked.borrow().last().map(|(_, request)| request.topics[0].partitions.len());
    assert_eq!(last, Some(2), "both wait together");
}

/// One has nothing new, and the other comes while that is asked for.
#[test]
fn what_is_followed_a_little_later_does_not_wait_for_what_was_asked_for_beside() {
    let pair = Pair::with(11, "1", &[("replica.fetch.wait.max.ms", "5000")]);
    pair.tell_both(FIRST);
    pair.world.run_for(Duration::from_secs(1));
    pair.tell_both(State { version: 1, partitions: 2, ..FIRST });
    pair.world.run_for(Duration::from_millis(2));
    pair.tell_both(State { version: 2, partitions: 3, ..FIRST });
    let produced = pair.run(1, move |shards| async move {
        let begun = shards.io().now();
        let produced = produce(&shards, 2, "a", -1).await;
        assert!(shards.io().now().since(begun) < Duration::from_millis(50), "it waited");
        produced
    });
    assert_eq!(produced.error, ErrorCode::None);
}

/// The session's request has ended meanwhile, and nobody else wants anything of the leader.
#[test]
fn what_was_asked_for_beside_in_vain_is_asked_for_again_at_once() {
    let pair = Pair::new(61, "1");
    pair.tell_both(FIRST);
    pair.world.run_for(Duration::from_secs(1));
    pair.script.is_silent.set(true);
    pair.world.run_for(Duration::from_millis(600));
    pair.tell_both(State { partitions: 2, version: 1, ..FIRST });
    pair.world.run_for(Duration::from_millis(5));
    let id = TopicIdPartition { topic_id: TOPIC, partition: PartitionIndex(1) };
    let is_of = |request: &FetchRequest, epoch: i32| {
        let mut asked = request.topics.iter().flat_map(|topic| &topic.partitions);
        asked.any(|asked| asked.partition == 1 && asked.current_leader_epoch == epoch)
    };
    let count = |epoch| pair.script.asked.borrow().iter().filter(|(_, request)| is_of(request, epoch)).count();
    assert_eq!((count(0), count(1)), (1, 0), "it is asked for");
    // It is given another leader epoch, and the other partition another leader.
    let position = FetchPosition {
        leader: BrokerId(1),
        leader_epoch: LeaderEpoch(1),
        offset: Offset(0),
        last_fetched_epoch: LeaderEpoch(0),
        log_start: Offset(0),
    };
    pair.run(2, move |shards| async move {
        shards.core().do_not_fetch(BrokerId(1), PARTITION);
        shards.core().fetch_from(position, id);
    });
    pair.world.run_for(Duration::from_millis(5));
    assert_eq!(count(1), 0, "one at a time");
    pair.script.is_silent.set(false);
    pair.world.reset_connections(pair.hosts[0], pair.hosts[1]);
    pair.world.run_for(Duration::from_secs(1));
    assert!(count(1) > 0, "nobody woke the fetcher");
}
