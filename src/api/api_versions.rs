//! ApiVersions (18), versions 0 to 4: what we serve, which a client asks first.

use super::context::text;
use super::{Answer, Call};
use crate::controller::SUPPORTED_FEATURES;
use crate::model::{ErrorCode, Offset};
use crate::protocol::api::Audience;
use crate::protocol::frame::AnswerTo;
use crate::protocol::generated::api_versions_request::ApiVersionsRequest;
use crate::protocol::generated::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::protocol::{ApiKey, Chunk};

/// Answers; the header of this response has no tagged fields in any version, since the client cannot know what we speak yet.
pub(super) async fn answer(call: Call) -> Answer {
    if !call.request.is_version_served() {
        let unknown = unknown_version(call.connection.audience);
        return match (AnswerTo { version: 0, ..call.request.answers() }).encode(&unknown) {
            Ok(chunks) => Answer::Send(chunks.into_iter().map(in_memory).collect()),
            Err(error) => Answer::Close(format!("ApiVersions cannot be answered: {error}")),
        };
    }
    let request = match call.decode::<ApiVersionsRequest>().await {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    let flexible = call.version() >= 3;
    if flexible && !(is_software_name(&request.client_software_name) && is_software_name(&request.client_software_version)) {
        let response = ApiVersionsResponse { error_code: ErrorCode::InvalidRequest.code(), ..Default::default() };
        return call.respond(response).await;
    }
    let image = call.image().await;
    call.respond(response(call.connection.audience, call.version(), image.next_offset(), image.served_features())).await
}

/// KIP-511: in version 0, with our versions of ApiVersions at least, so that the client can ask again.
fn unknown_version(audience: Audience) -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: served(audience).filter(|api| api.api_key == ApiKey::ApiVersions as i16).collect(),
        ..Default::default()
    }
}

/// What we serve, given the metadata's end and those features in force that we serve.
fn response(
    audience: Audience,
    version: i16,
    metadata_end: Offset,
    finalized: impl Iterator<Item = (&'static str, i16)>,
) -> ApiVersionsResponse {
    let supported = |&(name, min_version, max_version): &(&str, i16, i16)| SupportedFeatureKey {
        name: text(name),
        min_version,
        max_version,
        ..Default::default()
    };
    let finalized_key = |(name, level): (&'static str, i16)| FinalizedFeatureKey {
        name: text(name),
        max_version_level: level,
        min_version_level: level,
        ..Default::default()
    };
    ApiVersionsResponse {
        api_keys: served(audience).collect(),
        supported_features: SUPPORTED_FEATURES
            .iter()
            // Below version 4 clients take a minimum of 0 for an error (KAFKA-17492).
            .filter(|(_, min, _)| version >= 4 || *min > 0)
            .map(supported)
            .collect(),
        finalized_features_epoch: metadata_end.0 - 1,
        finalized_features: finalized.map(finalized_key).collect(),
        ..Default::default()
    }
}

fn served(audience: Audience) -> impl Iterator<Item = ApiVersion> {
    audience.served().iter().map(|api| ApiVersion {
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
    use super::*;

    fn frame(version: i16, response: &ApiVersionsResponse) -> Vec<u8> {
        let chunks = AnswerTo { api_key: ApiKey::ApiVersions, version, correlation_id: 0x0102_0304 }.encode(response).unwrap();
        let [Chunk::Bytes(bytes)] = &chunks[..] else { panic!("a small answer is one chunk") };
        bytes.to_vec()
    }

    #[test]
    fn an_unknown_version_is_answered_byte_for_byte_as_by_kafka() {
        // Size, correlation id, error 35, one key: ApiVersions from 0 to 4. Neither throttle time nor tags.
        let expected = [0, 0, 0, 16, 1, 2, 3, 4, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4];
        assert_eq!(frame(0, &unknown_version(Audience::Clients)), expected);
    }

    #[test]
    fn the_header_has_no_tags_and_the_body_has() {
        let answer = frame(3, &response(Audience::Clients, 3, Offset(10), std::iter::empty()));
        // Correlation id, no error, a compact array that begins with Produce from version 0.
        assert_eq!(answer[4..10], [1, 2, 3, 4, 0, 0]);
        assert_eq!(usize::from(answer[10]), Audience::Clients.served().len() + 1);
        assert_eq!(answer[11..18], [0, 0, 0, 0, 0, 13, 0]);
    }

    #[test]
    fn features_with_a_level_0_are_told_from_version_4_on() {
        let told = |version| {
            let answer = response(Audience::Clients, version, Offset(10), [("metadata.version", 27)].into_iter());
            let supported = answer.supported_features.iter().map(|f| (f.name.to_string(), f.min_version, f.max_version));
            let finalized = answer.finalized_features.iter().map(|f| (f.name.to_string(), f.max_version_level));
            (supported.collect::<Vec<_>>(), finalized.collect::<Vec<_>>(), answer.finalized_features_epoch)
        };
        let (metadata, kraft) = (("metadata.version".to_owned(), 17, 29), ("kraft.version".to_owned(), 0, 1));
        let eligible = ("eligible.leader.replicas.version".to_owned(), 0, 1);
        let in_force = vec![("metadata.version".to_owned(), 27)];
        assert_eq!(told(3), (vec![metadata.clone()], in_force.clone(), 9));
        assert_eq!(told(4), (vec![metadata, kraft, eligible], in_force, 9));
    }

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
