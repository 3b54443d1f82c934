//! ApiVersions (18), versions 0 to 4: what we serve, which a client asks first.

use super::context::text;
use super::{Answer, Call};
use crate::controller::SUPPORTED_FEATURES;
use crate::model::ErrorCode;
use crate::protocol::api::SERVED;
use crate::protocol::frame::encode_response;
use crate::protocol::generated::api_versions_request::ApiVersionsRequest;
use crate::protocol::generated::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::protocol::{ApiKey, Chunk};

/// Answers; the header of this response has no tagged fields in any version, since the client cannot know what we speak yet.
pub(super) fn answer(call: &Call) -> Answer {
    if !call.request.is_version_served() {
        // KIP-511: in version 0, with our versions of ApiVersions at least, so that the client can ask again.
        let response = ApiVersionsResponse {
            error_code: ErrorCode::UnsupportedVersion.code(),
            api_keys: served().filter(|api| api.api_key == ApiKey::ApiVersions as i16).collect(),
            ..Default::default()
        };
        return match encode_response(ApiKey::ApiVersions, 0, call.request.correlation_id, &response) {
            Ok(chunks) => Answer::Send(chunks.into_iter().map(in_memory).collect()),
            Err(error) => Answer::Close(format!("ApiVersions cannot be answered: {error}")),
        };
    }
    let request = match call.decode::<ApiVersionsRequest>() {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    let flexible = call.version() >= 3;
    if flexible && !(is_software_name(&request.client_software_name) && is_software_name(&request.client_software_version)) {
        let response = ApiVersionsResponse { error_code: ErrorCode::InvalidRequest.code(), ..Default::default() };
        return call.respond(&response);
    }
    let image = call.context.shards.image();
    let supported = |&(name, min_version, max_version): &(&str, i16, i16)| SupportedFeatureKey {
        name: text(name),
        min_version,
        max_version,
        ..Default::default()
    };
    let finalized = |(name, level): (&'static str, i16)| FinalizedFeatureKey {
        name: text(name),
        max_version_level: level,
        min_version_level: level,
        ..Default::default()
    };
    let response = ApiVersionsResponse {
        api_keys: served().collect(),
        supported_features: SUPPORTED_FEATURES
            .iter()
            // Below version 4 clients take a minimum of 0 for an error (KAFKA-17492).
            .filter(|(_, min, _)| call.version() >= 4 || *min > 0)
            .map(supported)
            .collect(),
        finalized_features_epoch: image.next_offset().0 - 1,
        finalized_features: image.served_features().map(finalized).collect(),
        ..Default::default()
    };
    call.respond(&response)
}

fn served() -> impl Iterator<Item = ApiVersion> {
    SERVED.iter().map(|api| ApiVersion {
        api_key: api.api_key as i16,
        min_version: api.advertised_min,
        max_version: api.max,
        ..Default::default()
    })
}

fn in_memory(chunk: Chunk) -> crate::io::Piece {
    match chunk {
        Chunk::Bytes(bytes) => crate::io::Piece::Bytes(bytes),
        Chunk::External { .. } => unreachable!("ApiVersions has no records"),
    }
}

/// Kafka's rule for software names and versions: `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?` (KIP-511).
fn is_software_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends_well = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::is_software_name;

    #[test]
    fn software_names_follow_kip_511() {
        for good in ["a", "librdkafka", "apache-kafka-java", "1.2.3", "v1-2.x9"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-", "a-", ".a", "a b", "ä", "a_b"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }
}
