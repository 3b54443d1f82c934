//! One file per request kind: validate, split by owner core, ask the shards, assemble the answer.

mod context;

pub use context::{Answer, ApiContext, Connection, Finish};

use bytes::Bytes;
use std::rc::Rc;

/// Stage one, in request order: parses, validates, hands work to its owner cores. What is returned may finish later; answers leave
/// in request order.
pub async fn dispatch(_context: &Rc<ApiContext>, _connection: &Rc<Connection>, _frame: Bytes) -> Finish {
    Box::pin(async { Answer::Close("no request is served yet".to_owned()) })
}

/// Whether requests of this key may be dispatched while earlier ones are unfinished: Produce only. For all others the server waits
/// for the earlier ones first.
pub fn may_overlap(frame: &Bytes) -> bool {
    frame.first_chunk::<2>().is_some_and(|key| i16::from_be_bytes(*key) == 0)
}
