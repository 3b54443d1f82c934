//! DescribeClientQuotas (48) and AlterClientQuotas (49), versions 0 and 1: what clients may do in a second.

use super::Call;
use super::context::text;
use crate::controller::{CLIENT_ID, Command, IP, MetadataImage, QuotaEntity, Reply, USER};
use crate::model::ErrorCode;
use crate::protocol::StrBytes;
use crate::protocol::generated::alter_client_quotas_request::AlterClientQuotasRequest;
use crate::protocol::generated::alter_client_quotas_response::{self as altered, AlterClientQuotasResponse};
use crate::protocol::generated::describe_client_quotas_request::{ComponentData, DescribeClientQuotasRequest};
use crate::protocol::generated::describe_client_quotas_response::{
    DescribeClientQuotasResponse, EntityData, EntryData, ValueData,
};
use std::rc::Rc;

/// How a component is matched: a name, the default, or whatever there is.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

pub(super) async fn describe(call: Rc<Call>, request: DescribeClientQuotasRequest) -> DescribeClientQuotasResponse {
    let image = call.context.shards.image();
    let many = image.quotas().len() > 1000;
    call.compute(many, move || answer(&image, &request)).await
}

fn answer(image: &MetadataImage, request: &DescribeClientQuotasRequest) -> DescribeClientQuotasResponse {
    let refused = |error: ErrorCode, words: String| DescribeClientQuotasResponse {
        error_code: error.code(),
        error_message: Some(words.into()),
        entries: None,
        ..Default::default()
    };
    let mut seen: Vec<&str> = Vec::new();
    for ComponentData { entity_type, match_type, r#match, .. } in &request.components {
        if entity_type.is_empty() {
            return refused(ErrorCode::InvalidRequest, "Invalid empty entity type.".to_owned());
        }
        if seen.contains(&&**entity_type) {
            return refused(
                ErrorCode::InvalidRequest,
                format!("Entity type {entity_type} cannot appear more than once in the filter."),
            );
        }
        if ![USER, CLIENT_ID, IP].contains(&&**entity_type) {
            return refused(ErrorCode::UnsupportedVersion, format!("Unsupported entity type {entity_type}"));
        }
        match (*match_type, r#match) {
            (EXACT, None) => {
                return refused(
                    ErrorCode::InvalidRequest,
                    "Request specified MATCH_TYPE_EXACT, but set match to null.".to_owned(),
                );
            }
            (EXACT, Some(_)) => {}
            (DEFAULT | ANY, Some(_)) => {
                return refused(
                    ErrorCode::InvalidRequest,
                    format!("Request specified match type {match_type}, but set a match."),
                );
            }
            (DEFAULT | ANY, None) => {}
            (other, _) => return refused(ErrorCode::InvalidRequest, format!("Unknown match type {other}")),
        }
        seen.push(entity_type);
    }
    if seen.contains(&IP) && seen.len() > 1 {
        return refused(ErrorCode::InvalidRequest, "Invalid entity filter component combination, IP filter component should not be used with user or clientId filter component.".to_owned());
    }
    let told = |(entity, values): (&QuotaEntity, &std::sync::Arc<crate::controller::QuotaValues>)| EntryData {
        entity: entity
            .iter()
            .map(|(kind, name)| EntityData {
                entity_type: text(kind),
                entity_name: name.as_deref().map(text),
                ..Default::default()
            })
            .collect(),
        values: values.iter().map(|(key, value)| ValueData { key: text(key), value: *value, ..Default::default() }).collect(),
        ..Default::default()
    };
    let entries = image.quotas().iter().filter(|(entity, _)| matches(entity, request)).map(told).collect();
    DescribeClientQuotasResponse { entries: Some(entries), ..Default::default() }
}

/// Whether an entity has every component that is asked for, and with `strict` no other.
fn matches(entity: &QuotaEntity, request: &DescribeClientQuotasRequest) -> bool {
    let has = |component: &ComponentData| match (entity.get(&*component.entity_type), component.match_type) {
        (None, _) => false,
        (Some(name), EXACT) => name.as_deref() == component.r#match.as_deref(),
        (Some(name), DEFAULT) => name.is_none(),
        (Some(_), _) => true,
    };
    request.components.iter().all(has) && (!request.strict || entity.len() == request.components.len())
}

pub(super) async fn alter(call: Rc<Call>, request: AlterClientQuotasRequest) -> AlterClientQuotasResponse {
    let entities: Vec<_> = request.entries.iter().map(|entry| entry.entity.clone()).collect();
    match call.decide(Command::AlterClientQuotas(request)).await {
        Ok(Reply::AlterClientQuotas(entries)) => AlterClientQuotasResponse { entries, ..Default::default() },
        Ok(other) => unreachable!("AlterClientQuotas was answered with {other:?}"),
        Err(undecided) => {
            let part = |part: crate::protocol::generated::alter_client_quotas_request::EntityData| altered::EntityData {
                entity_type: part.entity_type,
                entity_name: part.entity_name,
                ..Default::default()
            };
            let refuse = |entity: Vec<_>| altered::EntryData {
                error_code: undecided.error().code(),
                error_message: None::<StrBytes>,
                entity: entity.into_iter().map(part).collect(),
                ..Default::default()
            };
            AlterClientQuotasResponse { entries: entities.into_iter().map(refuse).collect(), ..Default::default() }
        }
    }
}
