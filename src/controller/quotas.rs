//! Client quotas (KIP-546): what is set for users, client ids and addresses, and how it is changed.

use super::image::MetadataImage;
use super::{Decision, MAX_RECORDS_PER_BATCH, Refusal, Reply};
use crate::model::ErrorCode;
use crate::protocol::generated::alter_client_quotas_request::{AlterClientQuotasRequest, EntityData, EntryData, OpData};
use crate::protocol::generated::client_quota_record::EntityData as RecordEntity;
use crate::protocol::generated::{ClientQuotaRecord, alter_client_quotas_response as told};
use crate::protocol::{MetadataRecord, StrBytes};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Types of entities.
pub const USER: &str = "user";
/// See above.
pub const CLIENT_ID: &str = "client-id";
/// See above.
pub const IP: &str = "ip";

/// Whom a quota is for: of each type that counts a name, or none for the default of all that have no quota of their own.
pub type QuotaEntity = BTreeMap<Arc<str>, Option<Arc<str>>>;

/// What is set for an entity, by key.
pub type QuotaValues = BTreeMap<Arc<str>, f64>;

/// Keys of users and client ids, and whether their values are whole numbers.
const CLIENT_KEYS: &[(&str, bool)] = &[
    ("consumer_byte_rate", true),
    ("controller_mutation_rate", false),
    ("producer_byte_rate", true),
    ("request_percentage", false),
];
/// Keys of addresses.
const IP_KEYS: &[(&str, bool)] = &[("connection_creation_rate", true)];

/// Decides on AlterClientQuotas. Each entry fails or succeeds by itself and as a whole.
pub(super) fn alter_client_quotas(image: &MetadataImage, request: &AlterClientQuotasRequest) -> Decision {
    let mut records: Vec<MetadataRecord> = vec![];
    // As in Kafka, what is named twice is answered once, by what came of the last.
    let mut results: BTreeMap<QuotaEntity, Result<(), Refusal>> = BTreeMap::new();
    for entry in &request.entries {
        let entity = entity_of(&entry.entity);
        let altered = check_entity(&entity).and_then(|()| alter(image, &entity, entry));
        results.insert(entity, altered.map(|altered| records.extend(altered.into_iter().map(MetadataRecord::from))));
    }
    if records.len() > MAX_RECORDS_PER_BATCH {
        let refusal = Refusal::new(ErrorCode::PolicyViolation, "Unable to perform excessively large batch operation.");
        results.values_mut().for_each(|result| *result = Err(refusal.clone()));
        records.clear();
    }
    let nothing = request.validate_only || records.is_empty();
    let reply = Reply::AlterClientQuotas(results.iter().map(|(entity, result)| tell(entity, result)).collect());
    Decision { batches: if nothing { vec![] } else { vec![records] }, reply }
}

fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, text)
}

/// Of a type that comes twice the last name counts.
fn entity_of(parts: &[EntityData]) -> QuotaEntity {
    parts.iter().map(|part| (Arc::from(&*part.entity_type), part.entity_name.as_deref().map(Arc::from))).collect()
}

fn check_entity(entity: &QuotaEntity) -> Result<(), Refusal> {
    if entity.is_empty() {
        return Err(invalid("Invalid empty client quota entity"));
    }
    for (kind, name) in entity {
        if ![USER, CLIENT_ID, IP].contains(&&**kind) {
            return Err(invalid(format!("Unhandled client quota entity type: {kind}")));
        }
        if name.as_deref() == Some("") {
            return Err(invalid(format!("Empty {kind} not supported")));
        }
    }
    if entity.contains_key(IP) && entity.len() > 1 {
        return Err(invalid("Invalid quota entity combination, IP entity should not be used with User or ClientId"));
    }
    Ok(())
}

fn alter(image: &MetadataImage, entity: &QuotaEntity, entry: &EntryData) -> Result<Vec<ClientQuotaRecord>, Refusal> {
    let keys = if entity.contains_key(IP) { IP_KEYS } else { CLIENT_KEYS };
    let current = image.quotas().get(entity);
    let mut changes: BTreeMap<&str, Option<f64>> = BTreeMap::new();
    for OpData { key, value, remove, .. } in &entry.ops {
        if changes.contains_key(&**key) {
            return Err(invalid(format!("Duplicate quota key {key}")));
        }
        let change = if *remove { None } else { Some(judged(keys, key, *value)?) };
        changes.insert(key, change);
    }
    let is_new = |(key, value): &(&str, Option<f64>)| current.and_then(|values| values.get(*key)).copied() != *value;
    let record = |(key, value): (&str, Option<f64>)| ClientQuotaRecord {
        entity: entity.iter().map(|(kind, name)| record_entity(kind, name.as_deref())).collect(),
        key: StrBytes::from(key),
        value: value.unwrap_or(0.0),
        remove: value.is_none(),
        ..ClientQuotaRecord::default()
    };
    if entity.contains_key(IP) && changes.values().any(Option::is_some) {
        // Who is told "done" finds it done.
        return Err(invalid("Quotas of addresses are not enforced by this broker"));
    }
    Ok(changes.into_iter().filter(is_new).map(record).collect())
}

fn record_entity(kind: &str, name: Option<&str>) -> RecordEntity {
    RecordEntity { entity_type: StrBytes::from(kind), entity_name: name.map(StrBytes::from), ..RecordEntity::default() }
}

fn judged(keys: &[(&str, bool)], key: &str, value: f64) -> Result<f64, Refusal> {
    let Some((_, is_whole)) = keys.iter().find(|(known, _)| *known == key) else {
        return Err(invalid(format!("Invalid configuration key {key}")));
    };
    if value <= 0.0 || value.is_nan() {
        return Err(invalid(format!("Quota {key} must be greater than 0")));
    }
    if *is_whole && (value.fract().abs() > 1e-6 || value > i64::MAX as f64) {
        return Err(invalid(format!("Quota {key} must be a whole number")));
    }
    Ok(value)
}

fn tell(entity: &QuotaEntity, result: &Result<(), Refusal>) -> told::EntryData {
    let part = |(kind, name): (&Arc<str>, &Option<Arc<str>>)| told::EntityData {
        entity_type: StrBytes::from(&**kind),
        entity_name: name.as_deref().map(StrBytes::from),
        ..told::EntityData::default()
    };
    let (code, message) = match result {
        Ok(()) => (ErrorCode::None, None),
        Err(Refusal(code, message)) => (*code, message.as_deref().map(StrBytes::from)),
    };
    told::EntryData {
        error_code: code.code(),
        error_message: message,
        entity: entity.iter().map(part).collect(),
        ..told::EntryData::default()
    }
}

impl MetadataImage {
    /// Quotas by entity.
    pub fn quotas(&self) -> &BTreeMap<QuotaEntity, Arc<QuotaValues>> {
        &self.quotas
    }

    pub(super) fn apply_quota(&mut self, record: &ClientQuotaRecord) {
        let part = |part: &RecordEntity| (Arc::from(&*part.entity_type), part.entity_name.as_deref().map(Arc::from));
        let entity: QuotaEntity = record.entity.iter().map(part).collect();
        let all = Arc::make_mut(&mut self.quotas);
        let values = Arc::make_mut(all.entry(entity.clone()).or_default());
        match record.remove {
            true => drop(values.remove(&*record.key)),
            false => drop(values.insert(Arc::from(&*record.key), record.value)),
        }
        if values.is_empty() {
            all.remove(&entity);
        }
    }

    /// The records that give the quotas again.
    pub(super) fn quota_records(&self) -> impl Iterator<Item = ClientQuotaRecord> {
        self.quotas.iter().flat_map(|(entity, values)| {
            values.iter().map(move |(key, value)| ClientQuotaRecord {
                entity: entity.iter().map(|(kind, name)| record_entity(kind, name.as_deref())).collect(),
                key: StrBytes::from(&**key),
                value: *value,
                ..ClientQuotaRecord::default()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{World, topic};
    use super::super::{Allowance, Command};
    use super::*;
    use crate::protocol::generated::CreateTopicsRequest;

    /// One operation a key; `None` removes it.
    fn change(entity: &[(&str, Option<&str>)], ops: &[(&str, Option<f64>)]) -> EntryData {
        let part = |(kind, name): &(&str, Option<&str>)| EntityData {
            entity_type: (*kind).into(),
            entity_name: name.map(Into::into),
            ..EntityData::default()
        };
        let op = |(key, value): &(&str, Option<f64>)| OpData {
            key: (*key).into(),
            value: value.unwrap_or(0.0),
            remove: value.is_none(),
            ..OpData::default()
        };
        EntryData { entity: entity.iter().map(part).collect(), ops: ops.iter().map(op).collect(), ..EntryData::default() }
    }

    /// Error codes by entry, and how many records were committed.
    fn alter(world: &mut World, entries: Vec<EntryData>) -> (Vec<i16>, usize) {
        let request = AlterClientQuotasRequest { entries, validate_only: false, ..Default::default() };
        let decision = world.decide(&Command::AlterClientQuotas(request));
        let records = decision.batches.iter().map(Vec::len).sum();
        decision.batches.into_iter().for_each(|batch| drop(world.commit(batch)));
        let Reply::AlterClientQuotas(entries) = decision.reply else { panic!() };
        (entries.iter().map(|entry| entry.error_code).collect(), records)
    }

    fn told(world: &World) -> Vec<String> {
        world.image().quotas().iter().map(|(entity, values)| format!("{entity:?} {values:?}")).collect()
    }

    #[test]
    fn quotas_are_set_changed_and_removed_by_records_that_give_them_again() {
        let mut world = World::new(1);
        let (rate, percent) = ("producer_byte_rate", "request_percentage");
        let alice = [(USER, Some("alice"))];
        let (codes, records) = alter(
            &mut world,
            vec![
                change(&alice, &[(rate, Some(1024.0)), (percent, Some(12.5))]),
                change(&[(USER, None), (CLIENT_ID, Some("c"))], &[(rate, Some(7.0))]),
            ],
        );
        assert_eq!((codes, records), (vec![0, 0], 3));
        let expected = [
            r#"{"client-id": Some("c"), "user": None} {"producer_byte_rate": 7.0}"#,
            r#"{"user": Some("alice")} {"producer_byte_rate": 1024.0, "request_percentage": 12.5}"#,
        ];
        assert_eq!(told(&world), expected);
        assert_eq!(alter(&mut world, vec![change(&alice, &[(rate, Some(1024.0))])]), (vec![0], 0), "nothing is new");
        let again: Vec<MetadataRecord> = world.image().quota_records().map(MetadataRecord::from).collect();
        let mut other = World::new(1);
        other.commit(again);
        assert_eq!(told(&other), expected);
        assert_eq!(
            alter(&mut world, vec![change(&alice, &[(rate, None), (percent, None), ("consumer_byte_rate", None)])]),
            (vec![0], 2)
        );
        assert_eq!(told(&world), expected[..1]);
    }

    #[test]
    fn an_entry_fails_as_a_whole_and_by_itself() {
        let mut world = World::new(1);
        let invalid = ErrorCode::InvalidRequest.code();
        let alice = [(USER, Some("alice"))];
        let rate = "producer_byte_rate";
        let wrong = [
            change(&[], &[(rate, Some(1.0))]),
            change(&[("planet", Some("mars"))], &[(rate, Some(1.0))]),
            change(&[(USER, Some(""))], &[(rate, Some(1.0))]),
            change(&[(USER, Some("a")), (IP, Some("1.1.1.1"))], &[("connection_creation_rate", Some(1.0))]),
            change(&[(IP, Some("1.1.1.1"))], &[("connection_creation_rate", Some(1.0))]),
            change(&alice, &[(rate, Some(1.0)), ("no_such_rate", Some(1.0))]),
            change(&alice, &[(rate, Some(0.0))]),
            change(&alice, &[(rate, Some(f64::NAN))]),
            change(&alice, &[(rate, Some(1.5))]),
            change(&alice, &[(rate, Some(1.0)), (rate, Some(2.0))]),
        ];
        for entry in wrong {
            let bob = change(&[(USER, Some("bob"))], &[(rate, None)]);
            assert_eq!(alter(&mut world, vec![entry.clone(), bob]), (vec![invalid, 0], 0), "{entry:?}");
        }
        assert_eq!(told(&world), [""; 0]);
    }

    #[test]
    fn topics_are_created_and_deleted_as_far_as_the_allowance_goes() {
        let mut world = World::new(1);
        world.allowance = Allowance::new(3.0, true);
        let codes = |world: &mut World, names: &[&str]| -> Vec<i16> {
            world.create(names.iter().map(|name| topic(name, 2, 1)).collect()).into_iter().map(|(code, _)| code).collect()
        };
        assert_eq!(codes(&mut world, &["a", "b", "c"]), [0, 0, ErrorCode::ThrottlingQuotaExceeded.code()]);
        assert_eq!((world.allowance.spent(), world.allowance.is_to_wait()), (4, true));
        assert!(world.image().topic_by_name("b").is_some() && world.image().topic_by_name("c").is_none());
        world.allowance = Allowance::new(-1.0, false);
        assert_eq!(codes(&mut world, &["c"]), [0]);
        let request = CreateTopicsRequest { topics: vec![topic("bad/name", 2, 1)], ..Default::default() };
        world.decide(&Command::CreateTopics(request));
        assert_eq!(world.allowance.spent(), 2, "what is refused takes nothing");
    }
}
