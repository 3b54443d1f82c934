use super::*;
use crate::payload::keys_by_partition;
use crate::stamp::Verifier;
use flumen::protocol::RequestFrame;
use flumen::record::{ValidateOptions, validate};

fn recipe(codec: Codec, stamped: bool) -> Recipe {
    Recipe {
        topic: "t".to_owned(),
        id: TopicId([7; 16]),
        version: 13,
        acks: -1,
        timeout_ms: 30_000,
        record_size: 100,
        records_per_batch: 9,
        codec,
        compressible: 0.5,
        stamped,
        keys: None,
        seed: 1,
    }
}

/// The request as the broker reads it: correlation id, and the validated batch of each partition.
fn read((head, body): ([u8; HEAD_BYTES], Body)) -> (i32, ProduceRequest, Vec<(i32, Bytes)>) {
    let bytes: Vec<u8> = head.into_iter().chain(body.bytes().iter().copied()).collect();
    assert_eq!(u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize, bytes.len() - 4);
    let frame = RequestFrame::parse(Bytes::from(bytes).slice(4..)).unwrap();
    let request: ProduceRequest = frame.decode().unwrap();
    let batches = (request.topic_data[0].partition_data.iter())
        .map(|data| {
            let validated = validate(data.records.bytes().unwrap().clone(), &ValidateOptions::new(1_000)).unwrap();
            (data.index, validated.bytes)
        })
        .collect();
    (frame.correlation_id, request, batches)
}

fn values(batch: &Bytes) -> Vec<Vec<u8>> {
    let parsed = Batch::parse(batch).unwrap();
    let payload = parsed.uncompressed_payload(1 << 20).unwrap();
    let value = |record: Result<record::Record<'_>, _>| record.unwrap().value.unwrap().to_vec();
    record::Records::new(&payload, parsed.header.records_count).map(value).collect()
}

#[test]
fn a_template_is_a_request_that_the_broker_takes() {
    for codec in Codec::ALL {
        for version in [9, 12, 13] {
            let template = Template::new(&Rc::new(Recipe { version, ..recipe(codec, false) }), &[4, 2], 0, 500);
            let (correlation, request, batches) = read(template.plain(77));
            assert_eq!((correlation, request.acks, request.topic_data.len()), (77, -1, 1));
            let topic = &request.topic_data[0];
            assert!(if version == 13 { topic.topic_id == TopicId([7; 16]) } else { &*topic.name == "t" });
            assert_eq!(batches.iter().map(|(partition, _)| *partition).collect::<Vec<_>>(), [4, 2]);
            assert_eq!(template.batch_bytes(), batches.iter().map(|(_, batch)| batch.len() as u64).sum::<u64>());
            assert_eq!(template.records(), 18);
            assert!(batches.iter().all(|(_, batch)| values(batch).len() == 9 && values(batch)[0].len() == 100));
        }
    }
}

#[test]
fn a_patched_batch_is_sealed_again_and_says_what_was_patched() {
    for codec in Codec::ALL {
        let template = Template::new(&Rc::new(recipe(codec, true)), &[4, 2], 0, 500);
        let mut verifiers = [4, 2].map(|partition| Verifier::new("t", partition, 0, true));
        for round in 0..3u64 {
            let patch = |place: &Place| Patch {
                timestamp: 900 + round as i64,
                producer: Some((11, 3, 9 * round as i32 + place.partition)),
                stamp: Some((5, 9 * round, 1_234 + round)),
            };
            let (correlation, _, batches) = read(template.patched(round as i32, vec![1; 10_000], patch));
            assert_eq!(correlation, round as i32);
            for ((partition, batch), verifier) in batches.iter().zip(&mut verifiers) {
                let header = Batch::parse(batch).unwrap().header;
                assert_eq!((header.base_timestamp, header.max_timestamp), (900 + round as i64, 900 + round as i64));
                assert_eq!((header.producer_id, header.producer_epoch), (ProducerId(11), 3));
                assert_eq!(header.base_sequence, 9 * round as i32 + partition);
                for (i, value) in values(batch).iter().enumerate() {
                    let stamp = verifier.check(9 * round as i64 + i as i64, value).unwrap();
                    assert_eq!((stamp.producer, stamp.intended), (5, 1_234 + round), "{codec:?}");
                }
            }
        }
    }
}

#[test]
fn an_idempotent_batch_is_patched_without_touching_its_compressed_records() {
    for codec in Codec::ALL {
        let template = Template::new(&Rc::new(recipe(codec, false)), &[0], 0, 500);
        let patch = |_: &Place| Patch { timestamp: 800, producer: Some((1, 0, 18)), stamp: None };
        let (_, _, plain) = read(template.plain(0));
        let (_, _, patched) = read(template.patched(0, Vec::new(), patch));
        assert_eq!(plain[0].1[BATCH_HEADER_BYTES..], patched[0].1[BATCH_HEADER_BYTES..]);
        assert_eq!(Batch::parse(&patched[0].1).unwrap().header.base_sequence, 18);
    }
}

#[test]
fn keyed_records_have_keys_of_their_partition_and_variants_differ() {
    let keys = keys_by_partition(50, 4);
    let recipe = Rc::new(Recipe { keys: Some(keys.clone()), ..recipe(Codec::None, false) });
    let batch = |variant| read(Template::new(&recipe, &[3], variant, 500).plain(0)).2.remove(0).1;
    let (first, second) = (batch(0), batch(1));
    assert_ne!(first, second);
    assert_eq!(first, batch(0), "reproducible");
    let parsed = Batch::parse(&first).unwrap();
    for record in parsed.records().unwrap() {
        let key = record.unwrap().key.unwrap().to_vec();
        assert!(keys[3].iter().any(|number| payload::key(*number) == key));
    }
}
