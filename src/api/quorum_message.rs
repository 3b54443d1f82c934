//! What voters say to each other, under a key that is none of Kafka's, on controller listeners only: bytes that the quorum alone reads.

use super::{Answer, ApiContext};
use crate::io::Piece;
use crate::protocol::frame::{decode_private_request, encode_private_answer};
use bytes::Bytes;
use std::rc::Rc;

/// The one version that there is.
const VERSION: i16 = 0;

pub(super) async fn answer(context: Rc<ApiContext>, frame: Bytes) -> Answer {
    let (version, correlation_id, body) = match decode_private_request(frame) {
        Ok(request) => request,
        Err(error) => return Answer::Close(format!("a message of another voter cannot be read: {error}")),
    };
    if version != VERSION {
        return Answer::Close(format!("a message of another voter is of version {version}"));
    }
    let Some(answer) = context.shards.quorum_message(body).await else {
        return Answer::Close("a message of another voter, and here is none, or it is stopping".to_owned());
    };
    match encode_private_answer(correlation_id, &answer) {
        Ok(frame) => Answer::Send(vec![Piece::Bytes(frame)]),
        Err(error) => Answer::Close(format!("the answer to another voter cannot be sent: {error}")),
    }
}
