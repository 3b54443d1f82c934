//! A connection against a server that answers, is slow, talks nonsense, or goes away.

use super::*;
use crate::io::sim::{Crash, HostId, Options, World};
use crate::protocol::Message;
use crate::protocol::frame::RequestFrame;
use crate::protocol::generated::api_versions_response::{ApiVersion, ApiVersionsResponse};
use crate::protocol::generated::metadata_request::MetadataRequestTopic;
use crate::protocol::generated::{
    FindCoordinatorRequest, HeartbeatRequest, HeartbeatResponse, MetadataRequest, MetadataResponse,
};
use std::future::Future;

const LIMIT: Duration = Duration::from_secs(2);

/// What the server does with a Heartbeat, by the generation that it names: after so many milliseconds, answers, or otherwise.
const ANSWER_LATE: i32 = 10_000;
const WRONG_CORRELATION: i32 = -2;
const GARBAGE: i32 = -3;
const CLOSE: i32 = -4;

fn versions() -> ApiVersionsResponse {
    let api = |api: ApiKey, min_version, max_version| ApiVersion {
        api_key: api as i16,
        min_version,
        max_version,
        ..Default::default()
    };
    let api_keys = vec![
        api(ApiKey::ApiVersions, 0, 3),
        api(ApiKey::Heartbeat, 0, 3),
        api(ApiKey::Metadata, 5, 99),
        api(ApiKey::FindCoordinator, 90, 99),
    ];
    ApiVersionsResponse { api_keys, ..Default::default() }
}

/// Chunks of an answer that is all in memory.
fn bytes_of<M: Message>(request: &RequestFrame, response: &M) -> Bytes {
    let chunks = request.answers().encode(response).unwrap();
    let parts = chunks.into_iter().map(|chunk| match chunk {
        crate::protocol::Chunk::Bytes(bytes) => bytes,
        other => panic!("{other:?} is not in memory"),
    });
    parts
        .fold(BytesMut::new(), |mut all, part| {
            all.extend_from_slice(&part);
            all
        })
        .freeze()
}

async fn serve(io: Io) {
    let listener = io.listen("0.0.0.0:9092".parse().unwrap(), true).unwrap();
    while let Ok(accepted) = listener.accept().await {
        let socket = accepted.attach(&io).unwrap();
        let io2 = io.clone();
        io.spawn(async move { serve_one(io2, socket).await });
    }
}

async fn serve_one(io: Io, socket: Socket) {
    let mut buffer = BytesMut::with_capacity(SMALL_BUFFER);
    loop {
        let frame = match next_frame(&mut buffer).unwrap() {
            Some(frame) => frame,
            None if socket.read(&mut buffer).await.unwrap_or(0) == 0 => return,
            None => continue,
        };
        let request = RequestFrame::parse(frame).unwrap();
        let answer = match request.api_key {
            ApiKey::ApiVersions => bytes_of(&request, &versions()),
            ApiKey::Metadata => bytes_of(&request, &MetadataResponse { controller_id: 7, ..Default::default() }),
            ApiKey::Heartbeat => {
                let asked: HeartbeatRequest = request.decode().unwrap();
                match asked.generation_id {
                    CLOSE => return socket.shutdown(),
                    GARBAGE => Bytes::from_static(b"\xff\xff\xff\xff nonsense"),
                    WRONG_CORRELATION => Bytes::from_static(b"\0\0\0\x06\0\0\x12\x34\0\0"),
                    wait => {
                        io.sleep(Duration::from_millis(u64::try_from(wait).unwrap())).await;
                        bytes_of(&request, &HeartbeatResponse { error_code: wait as i16, ..Default::default() })
                    }
                }
            }
            other => panic!("{} was not to be asked", other.name()),
        };
        if socket.send(&[Piece::Bytes(answer)]).await.is_err() {
            return;
        }
    }
}

fn heartbeat(generation_id: i32) -> HeartbeatRequest {
    HeartbeatRequest { group_id: "g".into(), generation_id, member_id: "m".into(), ..Default::default() }
}

async fn beat(connection: &Connection, generation: i32) -> Result<i16, CallError> {
    connection.call(3, &heartbeat(generation), LIMIT).await.map(|answer| answer.error_code)
}

/// Runs `work` on a host beside a server; it gets the server's address.
fn with_server<F: Future<Output = ()> + 'static>(work: impl FnOnce(Io, SocketAddr, World, HostId) -> F + 'static) {
    let world = World::new(7, Options::default());
    let (server, client) = (world.add_host("server", 1), world.add_host("client", 1));
    world.start(server, serve);
    let address = (world.address(server), 9092).into();
    let inside = world.clone();
    world.run(client, move |io| work(io, address, inside, server));
}

async fn opened(io: &Io, address: SocketAddr) -> Connection {
    loop {
        match Connection::open(io, address, "us", LIMIT).await {
            Ok(connection) => return connection,
            // The server is not there yet.
            Err(CallError::Closed(..)) => io.sleep(Duration::from_millis(5)).await,
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn answers_come_in_the_order_of_calls_in_the_highest_common_version() {
    with_server(|io, address, _, _| async move {
        let connection = opened(&io, address).await;
        assert_eq!(connection.version_of::<HeartbeatRequest>(), Ok(3));
        assert_eq!(connection.version_of::<MetadataRequest>(), Ok(MetadataRequest::MAX_VERSION));
        let not_served = Err(CallError::NotServed(ApiKey::FindCoordinator));
        assert_eq!(connection.version_of::<FindCoordinatorRequest>(), not_served);
        let metadata = MetadataRequest { topics: Some(vec![]), ..Default::default() };
        let calls = (beat(&connection, 30), beat(&connection, 10), connection.call(12, &metadata, LIMIT), beat(&connection, 0));
        let (first, second, third, fourth) = futures_util::join!(calls.0, calls.1, calls.2, calls.3);
        assert_eq!((first, second, third.unwrap().controller_id, fourth), (Ok(30), Ok(10), 7, Ok(0)));
        assert_eq!(connection.closed(), None);
    });
}

#[test]
fn whatever_goes_wrong_closes_the_connection_for_all_who_wait() {
    with_server(|io, address, _, _| async move {
        let reasons = [
            (ANSWER_LATE, "no answer to Heartbeat within 2000 ms"),
            (WRONG_CORRELATION, "an answer to Some(4660) where one to 1 is due"),
            (GARBAGE, "an answer of -1 bytes"),
            (CLOSE, "the other end has closed it"),
        ];
        for (what, reason) in reasons {
            let connection = opened(&io, address).await;
            let expected = CallError::Closed(address, reason.to_owned());
            let (first, second) = futures_util::join!(beat(&connection, what), beat(&connection, 1));
            assert_eq!((first, second), (Err(expected.clone()), Err(expected.clone())));
            assert_eq!((connection.closed(), beat(&connection, 1).await), (Some(expected.clone()), Err(expected)));
        }
    });
}

#[test]
fn a_request_that_is_given_up_halfway_closes_the_connection() {
    with_server(|io, address, _, _| async move {
        let connection = opened(&io, address).await;
        let topic = |number: usize| MetadataRequestTopic { name: Some(format!("{number:0>200}").into()), ..Default::default() };
        let long = MetadataRequest { topics: Some((0..50_000).map(topic).collect()), ..Default::default() };
        let gives_up = async {
            let (call, patience) = (pin!(connection.call(12, &long, LIMIT)), pin!(io.sleep(Duration::from_millis(10))));
            assert!(matches!(select(call, patience).await, Either::Right(_)), "the server reads nothing while it is slow");
        };
        let (first, ()) = futures_util::join!(beat(&connection, ANSWER_LATE), gives_up);
        assert_eq!(first, Err(CallError::Closed(address, "a request was given up halfway".to_owned())));
    });
}

#[test]
fn who_is_not_there_is_given_up_in_time() {
    with_server(|io, address, world, server| async move {
        drop(opened(&io, address).await);
        world.crash(server, Crash::PowerLoss);
        let began = io.now();
        let refused = Connection::open(&io, address, "us", LIMIT).await;
        assert!(matches!(refused, Err(CallError::Closed(..))), "a connection to nobody");
        assert!(io.now().since(began) <= LIMIT + Duration::from_millis(10));
    });
}

#[test]
fn long_answers_get_room_as_they_come() {
    let mut buffer = BytesMut::with_capacity(8);
    assert_eq!(next_frame(&mut buffer), Ok(None));
    buffer.extend_from_slice(&(3 * STEP as i32).to_be_bytes());
    let mut grown = Vec::new();
    let mut sent = 0;
    while sent < 3 * STEP {
        assert_eq!(next_frame(&mut buffer), Ok(None));
        grown.push(buffer.capacity());
        let part = (buffer.capacity() - buffer.len()).min(3 * STEP - sent).max(1);
        buffer.extend_from_slice(&vec![7; part]);
        sent += part;
    }
    assert!(grown[0] <= 2 * STEP, "{grown:?}");
    assert_eq!(next_frame(&mut buffer).unwrap().unwrap().len(), 3 * STEP);
    buffer.extend_from_slice(&(MAX_ANSWER as i32 + 1).to_be_bytes());
    assert_eq!(next_frame(&mut buffer), Err(MAX_ANSWER as i32 + 1));
}
