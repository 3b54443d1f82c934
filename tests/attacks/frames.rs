//! Bytes that are no request.

use super::client::{Client, FETCH, fetch_request};
use super::mutate::{self, Random};
use super::{Attack, Case, SHORT, corpus, logged, witness};
use flumen::protocol::ApiKey;
use flumen::protocol::frame::encode_request;
use flumen::protocol::generated::{ApiVersionsRequest, MetadataRequest};
use std::time::Duration;

const PLAIN: Attack<'_> = Attack { settings: &[], ceiling_mib: 64, patience: SHORT };
/// How soon a connection is closed that said what nobody may say.
const SOON: Duration = Duration::from_secs(10);

/// Sends it on a connection of its own, which must be closed, with a line that says who.
fn is_refused(broker: &super::Broker, bytes: &[u8], why: &[&str]) {
    let mut client = Client::connect(broker.address());
    let peer = client.local();
    client.send_bytes(bytes).ok();
    assert!(client.is_closed_within(SOON), "{why:?}: still open");
    let words: Vec<&str> = why.iter().copied().chain([peer.as_str()]).collect();
    logged(broker, &words);
}

/// A frame with this header (version 1) and body.
fn frame(api_key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let head = [&api_key.to_be_bytes()[..], &version.to_be_bytes(), &7_i32.to_be_bytes(), &[0, 1, b'x'], body].concat();
    [&(head.len() as i32).to_be_bytes()[..], &head].concat()
}

#[test]
fn unknown_apis_and_versions() {
    PLAIN.run(|broker| {
        for api_key in [-1, 4, 8, 57, 93, 999, i16::MAX, i16::MIN] {
            is_refused(broker, &frame(api_key, 0, &[0; 64]), &["closing"]);
        }
        for (api, version) in
            [(ApiKey::Metadata, 14), (ApiKey::Metadata, -1), (ApiKey::Fetch, 3), (ApiKey::Fetch, 99), (ApiKey::Produce, 14)]
        {
            is_refused(broker, &frame(api as i16, version, &[0; 64]), &["closing"]);
        }
        // KIP-511: an ApiVersions that is too new is answered, in version 0, with UNSUPPORTED_VERSION and what is served.
        let mut client = Client::connect(broker.address());
        client.send_bytes(&frame(ApiKey::ApiVersions as i16, 99, &[0; 16])).unwrap();
        let answer = client.receive_frame().unwrap();
        assert_eq!(answer[4..6], [0, 35], "UNSUPPORTED_VERSION");
        assert!(client.call(0, &ApiVersionsRequest::default()).is_ok(), "and the connection goes on");
    });
}

#[test]
fn lengths_that_cannot_be() {
    PLAIN.run(|broker| {
        for length in [-1, 0, 1, 7, i32::MIN, i32::MAX, 104_857_601] {
            let bytes = [&i32::to_be_bytes(length)[..], &[0; 100]].concat();
            is_refused(broker, &bytes, &[&length.to_string()]);
        }
    });
}

#[test]
fn frames_longer_than_the_broker_takes() {
    let attack = Attack { settings: &[("socket.request.max.bytes", "1048576")], ..PLAIN };
    attack.run(|broker| {
        is_refused(broker, &[&1_048_577_i32.to_be_bytes()[..], &[0; 1000]].concat(), &["1048577", "1048576"]);
        let mut client = Client::connect(broker.address());
        let mut largest =
            encode_request(9, 1, None, &MetadataRequest { topics: Some(Vec::new()), ..Default::default() }).unwrap().to_vec();
        // Bytes behind the message are passed over, as in Kafka.
        largest.resize(4 + 1_048_576, 0);
        largest[..4].copy_from_slice(&1_048_576_i32.to_be_bytes());
        client.send_bytes(&largest).unwrap();
        assert!(client.receive::<MetadataRequest>(9).is_ok(), "the largest frame is answered");
    });
}

#[test]
fn truncated_and_lying_frames() {
    PLAIN.run(|broker| {
        let whole = encode_request(FETCH, 1, Some("x".into()), &fetch_request(witness::TOPIC, 0, 0, 1000)).unwrap();
        // Cut at every byte, and the client goes away.
        for cut in 0..whole.len() {
            let mut client = Client::connect(broker.address());
            client.send_bytes(&whole[..cut]).unwrap();
            client.socket.shutdown(std::net::Shutdown::Write).unwrap();
            assert!(client.is_closed_within(SOON), "cut at {cut}");
        }
        // A length that says less than the message takes.
        for cut in 12..whole.len() - 4 {
            let bytes = [&(cut as i32).to_be_bytes()[..], &whole[4..4 + cut]].concat();
            let mut client = Client::connect(broker.address());
            client.send_bytes(&bytes).ok();
            assert!(client.is_closed_within(SOON), "a request of {cut} bytes that needs more");
        }
        // Counts and lengths within that say more than is there.
        let counts = [i32::MAX, 0x00ff_ffff, -2, i32::MIN];
        for count in counts {
            is_refused(broker, &frame(ApiKey::Metadata as i16, 1, &count.to_be_bytes()), &["closing"]);
            is_refused(
                broker,
                &frame(ApiKey::ListOffsets as i16, 1, &[&[0xff; 4][..], &count.to_be_bytes()].concat()),
                &["closing"],
            );
        }
    });
}

/// Messages of every API that is served, broken in all the ways of the fuzzer, on real sockets.
#[test]
fn broken_messages() {
    // What creates topics by the thousand is not broken, and has a test of its own.
    let passed_over = ["CreateTopicsRequest", "CreatePartitionsRequest"];
    let is_served = |case: &Case| {
        let (name, version) = case.kind.split_once(' ').unwrap();
        let api = ApiKey::ALL.iter().find(|api| name.strip_suffix("Request") == Some(api.name()));
        !passed_over.contains(&name) && api.is_some_and(|api| api.is_served(version.parse().unwrap()))
    };
    let cases: Vec<Case> = corpus::read("messages").into_iter().filter(is_served).collect();
    assert!(cases.len() > 60, "{}", cases.len());
    let rounds = if super::support::process::is_long() { 100_000 } else { 3000 };
    Attack { ceiling_mib: 100, ..PLAIN }.run(|broker| {
        let (mut closed, mut client) = (0, Client::connect(broker.address()));
        client.socket.set_read_timeout(Some(SOON)).unwrap();
        for number in 0..rounds {
            let mut random = Random::of(0xbad, number);
            let mut case = cases[random.below(cases.len())].clone();
            mutate::bytes(&mut random, &cases, &mut case);
            let (name, version) = case.kind.split_once(' ').unwrap();
            let api = ApiKey::ALL.iter().find(|api| name.strip_suffix("Request") == Some(api.name())).unwrap();
            let version: i16 = version.parse().unwrap();
            let tags: &[u8] = if api.is_flexible(version) { &[0] } else { &[] };
            client.send_bytes(&frame(*api as i16, version, &[tags, &case.bytes].concat())).ok();
            // A Fetch may wait as long as it says and a Produce may want no answer, so the end is asked for, not awaited.
            let probe = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 77, 0xff, 0xff];
            if *api == ApiKey::Fetch || client.send_bytes(&probe).is_err() || !answers_probe(&mut client) {
                closed += 1;
                client = Client::connect(broker.address());
                client.socket.set_read_timeout(Some(SOON)).unwrap();
            }
        }
        println!("{rounds} broken messages, {closed} connections given up");
        assert!(closed > rounds / 10 && closed < rounds, "{closed}");
    });
}

/// Whether the answer to the probe comes, after others.
fn answers_probe(client: &mut Client) -> bool {
    loop {
        match client.receive_frame() {
            Ok(frame) if frame[..4] == [0, 0, 0, 77] => return true,
            Ok(_) => {}
            Err(error) => {
                let waited = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                assert!(!waited, "neither answered nor closed");
                return false;
            }
        }
    }
}
