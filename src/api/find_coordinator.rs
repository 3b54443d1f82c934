//! FindCoordinator (10), versions 0 to 6: no coordinator is available here yet, for groups, transactions or share groups, and that is
//! the answer.
//!
//! It is served all the same because librdkafka takes the presence of this API as the sign that a broker reads LZ4: without it its
//! producers send uncompressed batches and say nothing.

use super::Call;
use crate::model::ErrorCode;
use crate::protocol::generated::find_coordinator_request::FindCoordinatorRequest;
use crate::protocol::generated::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use std::rc::Rc;

/// Group, transaction, share group (KIP-932); 0 to this.
const LAST_KEY_TYPE: i8 = 2;
/// Share groups may be asked for from this version on.
const SHARE_VERSION: i16 = 6;
/// Several keys a request from this version on (KIP-699).
const BATCH_VERSION: i16 = 4;
/// "None" in the answer.
const NO_NODE: i32 = -1;
/// "None" in the answer.
const NO_PORT: i32 = -1;

pub(super) async fn handle(call: Rc<Call>, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let version = call.version();
    call.compute(false, move || answer(version, request)).await
}

fn answer(version: i16, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let known = (0..=LAST_KEY_TYPE).contains(&request.key_type) && (request.key_type < LAST_KEY_TYPE || version >= SHARE_VERSION);
    let error_code = if known { ErrorCode::CoordinatorNotAvailable } else { ErrorCode::InvalidRequest }.code();
    if version < BATCH_VERSION {
        return FindCoordinatorResponse {
            error_code,
            error_message: None,
            node_id: NO_NODE,
            port: NO_PORT,
            ..Default::default()
        };
    }
    let none = |key| Coordinator { key, node_id: NO_NODE, port: NO_PORT, error_code, error_message: None, ..Default::default() };
    FindCoordinatorResponse { coordinators: request.coordinator_keys.into_iter().map(none).collect(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Message, StrBytes};

    fn ask(version: i16, key_type: i8) -> FindCoordinatorResponse {
        let keys = ["a", "b"].map(StrBytes::from).to_vec();
        let request = match version < BATCH_VERSION {
            true => FindCoordinatorRequest { key: StrBytes::from("a"), key_type, ..Default::default() },
            false => FindCoordinatorRequest { coordinator_keys: keys, key_type, ..Default::default() },
        };
        let bytes = answer(version, request).to_bytes(version).expect("an answer that the version can carry");
        FindCoordinatorResponse::from_bytes(bytes, version).unwrap()
    }

    #[test]
    fn nobody_coordinates_and_every_version_can_say_so() {
        for version in 0..=6 {
            let answer = ask(version, 0);
            let errors: Vec<i16> = match version < BATCH_VERSION {
                true => vec![answer.error_code],
                false => answer.coordinators.iter().map(|coordinator| coordinator.error_code).collect(),
            };
            assert!(
                errors.iter().all(|error| *error == ErrorCode::CoordinatorNotAvailable.code()),
                "version {version}: {errors:?}"
            );
            assert_eq!(errors.len(), if version < BATCH_VERSION { 1 } else { 2 }, "an answer for each key");
        }
    }

    #[test]
    fn an_unknown_kind_of_key_is_an_invalid_request() {
        assert_eq!(ask(6, 2).coordinators[0].error_code, ErrorCode::CoordinatorNotAvailable.code());
        for (version, key_type) in [(5, 2), (6, 3), (6, -1)] {
            assert_eq!(
                ask(version, key_type).coordinators[0].error_code,
                ErrorCode::InvalidRequest.code(),
                "{version}, {key_type}"
            );
        }
    }
}
