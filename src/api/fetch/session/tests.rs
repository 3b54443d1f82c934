use super::*;
use crate::protocol::generated::fetch_request::{FetchTopic, ForgottenTopic};

fn request(session_id: i32, epoch: i32, partitions: &[i32]) -> FetchRequest {
    let ask = |&partition: &i32| FetchPartition { partition, ..Default::default() };
    let topics = match partitions {
        [] => Vec::new(),
        _ => vec![FetchTopic { topic: "t".into(), partitions: partitions.iter().map(ask).collect(), ..Default::default() }],
    };
    FetchRequest { session_id, session_epoch: epoch, topics, ..Default::default() }
}

fn told(partition: i32, bytes: u64, high_watermark: i64) -> Told {
    let key = Key { topic_id: TopicId::ZERO, topic: "t".into(), partition };
    Told { key, error: ErrorCode::None, diverging: false, bytes, high_watermark, log_start: 0 }
}

fn by(now: u64) -> By {
    By { privileged: false, uses_topic_ids: false, now: Mono(now * 1_000_000_000), random: now }
}

fn order(context: &Context) -> Vec<i32> {
    match context {
        Context::Sessionless(wishes) | Context::Full(wishes) | Context::Incremental { wishes, .. } => {
            wishes.iter().map(|wanted| wanted.key.partition).collect()
        }
    }
}

/// Opens a session with `partitions`; its id.
fn open(cache: &SessionCache, partitions: &[i32], now: u64) -> i32 {
    let context = cache.begin(&request(0, 0, partitions), 12, Mono(now * 1_000_000_000)).ok().expect("a full fetch begins");
    let all: Vec<Told> = partitions.iter().map(|&partition| told(partition, 0, 5)).collect();
    let (id, named) = cache.finish(context, &all, by(now)).expect("a full fetch ends");
    assert!(named.iter().all(|named| *named), "a full answer names everything");
    id
}

#[test]
fn a_session_tells_only_news_and_serves_in_turns() {
    let cache = SessionCache::new(1, 4, 1000);
    let id = open(&cache, &[0, 1, 2], 7);
    assert_eq!(id % 4, 1, "the id says the core");
    let context = cache.begin(&request(id, 1, &[]), 12, Mono(0)).ok().expect("the next request");
    assert_eq!(order(&context), [0, 1, 2]);
    let news = [told(0, 100, 9), told(1, 0, 5), told(2, 0, 6)];
    assert_eq!(cache.finish(context, &news, by(1)), Ok((id, vec![true, false, true])));
    let context = cache.begin(&request(id, 2, &[]), 12, Mono(0)).ok().expect("the next request");
    assert_eq!(order(&context), [1, 2, 0], "who got records goes to the end");
}

#[test]
fn an_error_is_always_told_and_makes_the_watermark_news_again() {
    let cache = SessionCache::new(0, 1, 1000);
    let id = open(&cache, &[0], 1);
    for (epoch, error) in [(1, ErrorCode::NotLeaderOrFollower), (2, ErrorCode::NotLeaderOrFollower)] {
        let context = cache.begin(&request(id, epoch, &[]), 12, Mono(0)).ok().expect("begins");
        let failed = Told { error, ..told(0, 0, 5) };
        assert_eq!(cache.finish(context, &[failed], by(1)), Ok((id, vec![true])));
    }
    let context = cache.begin(&request(id, 3, &[]), 12, Mono(0)).ok().expect("begins");
    assert_eq!(cache.finish(context, &[told(0, 0, 5)], by(1)), Ok((id, vec![true])));
    let context = cache.begin(&request(id, 4, &[]), 12, Mono(0)).ok().expect("begins");
    assert_eq!(cache.finish(context, &[told(0, 0, 5)], by(1)), Ok((id, vec![false])));
}

#[test]
fn wrong_ids_epochs_and_versions_are_refused() {
    let cache = SessionCache::new(0, 2, 1000);
    let id = open(&cache, &[0], 1);
    let error = |request: &FetchRequest, version| cache.begin(request, version, Mono(0)).err();
    assert_eq!(error(&request(id + 2, 1, &[]), 12), Some(ErrorCode::FetchSessionIdNotFound));
    assert_eq!(error(&request(id, 2, &[]), 12), Some(ErrorCode::InvalidFetchSessionEpoch));
    assert_eq!(error(&request(id, 1, &[]), 13), Some(ErrorCode::FetchSessionTopicIdError));
    let first = cache.begin(&request(id, 1, &[]), 12, Mono(0)).ok().expect("begins");
    let second = cache.begin(&request(id, 2, &[]), 12, Mono(0)).ok().expect("begins");
    assert_eq!(cache.finish(first, &[], by(1)), Err(ErrorCode::InvalidFetchSessionEpoch), "overtaken");
    assert_eq!(cache.finish(second, &[], by(1)), Ok((id, vec![])));
}

#[test]
fn sessions_end_by_a_full_fetch_a_final_epoch_or_when_everything_is_forgotten() {
    let cache = SessionCache::new(0, 1, 1000);
    for epoch in [INITIAL_EPOCH, FINAL_EPOCH] {
        let id = open(&cache, &[0], 1);
        assert!(cache.begin(&request(id, epoch, &[0]), 12, Mono(0)).is_ok());
        assert_eq!(cache.begin(&request(id, 1, &[]), 12, Mono(0)).err(), Some(ErrorCode::FetchSessionIdNotFound));
    }
    let id = open(&cache, &[0, 1], 1);
    let forget = |partitions: Vec<i32>| ForgottenTopic { topic: "t".into(), partitions, ..Default::default() };
    let mut next = request(id, 1, &[]);
    next.forgotten_topics_data = vec![forget(vec![1])];
    assert_eq!(order(&cache.begin(&next, 12, Mono(0)).ok().expect("begins")), [0]);
    let mut last = request(id, 2, &[]);
    last.forgotten_topics_data = vec![forget(vec![0])];
    assert!(matches!(cache.begin(&last, 12, Mono(0)), Ok(Context::Sessionless(_))));
    assert!(cache.sessions.borrow().is_empty());
}

#[test]
fn epochs_wrap_to_one() {
    assert_eq!((next_epoch(0), next_epoch(1), next_epoch(i32::MAX)), (1, 2, 1));
}

#[test]
fn only_the_old_and_the_smaller_give_way() {
    let cache = SessionCache::new(0, 1, 2);
    let (first, second) = (open(&cache, &[0, 1], 1), open(&cache, &[0, 1, 2], 2));
    assert_eq!(open(&cache, &[0, 1, 2, 3], 3), NO_SESSION, "young sessions stay");
    // Both are used, so neither is stale, but both are old enough to be displaced by a larger one.
    for id in [first, second] {
        assert!(cache.begin(&request(id, 1, &[]), 12, Mono(100_000_000_000)).is_ok());
    }
    assert_eq!(open(&cache, &[0], 130), NO_SESSION, "a smaller one does not displace");
    let third = open(&cache, &[0, 1, 2, 3], 130);
    assert_ne!(third, NO_SESSION);
    assert!(!cache.sessions.borrow().contains_key(&first), "the smallest gave way");
    let fourth = open(&cache, &[0], 400);
    assert_ne!(fourth, NO_SESSION, "a stale one always gives way");
}
