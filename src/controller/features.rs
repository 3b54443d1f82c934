//! UpdateFeatures: which level of a feature is in force (KIP-584, KIP-778).
//!
//! A level says which records and protocols the whole cluster may use, so a node that does not support it must not be there: the
//! controller and every registered broker have to. All updates of a request hold, or none does.

use super::configs::{self, MIN_INSYNC_REPLICAS};
use super::image::MetadataImage;
use super::{
    ConfigResource, Context, Decision, ELR_METADATA_VERSION, ELR_VERSION, KRAFT_VERSION, METADATA_VERSION, Refusal, Reply,
    SUPPORTED_FEATURES, UNSERVED_FEATURES, minimum_in_sync,
};
use crate::model::ErrorCode;
use crate::protocol::MetadataRecord;
use crate::protocol::generated::update_features_request::FeatureUpdateKey;
use crate::protocol::generated::{FeatureLevelRecord, UpdateFeaturesRequest};
use std::collections::BTreeMap;

/// Types of updates (KIP-778).
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

/// Levels of `metadata.version` that brought records, or fields of records, that lower ones do not know: 3.7-IV2 directories, 4.0-IV1
/// eligible leader replicas. What they hold would be lost below them.
const LEVELS_THAT_CHANGED_METADATA: &[i16] = &[17, ELR_METADATA_VERSION];

/// Characters of a name that are told back.
const SHOWN: usize = 100;

/// Decides on UpdateFeatures. Of a feature that is named twice the last update counts.
pub(super) fn update_features(image: &MetadataImage, request: &UpdateFeaturesRequest, context: &Context<'_>) -> Decision {
    let updates: BTreeMap<&str, &FeatureUpdateKey> =
        request.feature_updates.iter().map(|update| (&*update.feature, update)).collect();
    // The quorum keeps its level for itself.
    let kraft_version = context.cluster.as_ref().map_or(0, |cluster| cluster.kraft_version);
    let can_rise = context.cluster.is_some();
    let decided: Result<Vec<_>, String> =
        updates.values().map(|update| update_feature(image, update, (kraft_version, can_rise))).collect();
    match decided {
        Ok(records) => {
            let mut records: Vec<MetadataRecord> = records.into_iter().flatten().collect();
            let brings_elr = |record: &MetadataRecord| matches!(record, MetadataRecord::FeatureLevel(level) if &*level.name == ELR_VERSION && level.feature_level > 0);
            if records.iter().any(brings_elr) {
                records.splice(0..0, one_minimum_for_all(image, context));
            }
            let nothing = request.validate_only || records.is_empty();
            Decision { batches: if nothing { vec![] } else { vec![records] }, reply: Reply::UpdateFeatures(Ok(())) }
        }
        Err(text) => {
            let text = format!("The update failed for all features since the following feature had an error: {text}");
            let refusal = Refusal::new(ErrorCode::InvalidUpdateVersion, text);
            Decision { batches: vec![], reply: Reply::UpdateFeatures(Err(refusal)) }
        }
    }
}

/// The record that an update takes, if it takes any. Of `kraft.version` that is the quorum's: its level, and whether that can rise.
fn update_feature(
    image: &MetadataImage,
    update: &FeatureUpdateKey,
    (kraft_version, can_rise): (i16, bool),
) -> Result<Option<MetadataRecord>, String> {
    let (name, wanted) = (&*update.feature, update.max_version_level);
    let invalid = |why: &str| {
        let shown: String = name.chars().take(SHOWN).collect();
        Err(format!("Invalid update version {wanted} for feature {shown}. {why}"))
    };
    if !matches!(update.upgrade_type, UPGRADE | SAFE_DOWNGRADE | UNSAFE_DOWNGRADE) {
        return invalid("The controller does not support the given upgrade type.");
    }
    if wanted < 0 {
        return invalid("A feature version cannot be less than 0.");
    }
    if let Some(why) = why_not_supported(image, name, wanted) {
        return invalid(&why);
    }
    let current = match name {
        KRAFT_VERSION => kraft_version,
        _ => image.features().get(name).copied().unwrap_or(0),
    };
    let is_upgrade = update.upgrade_type == UPGRADE;
    if wanted < current && is_upgrade {
        return invalid(
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
        );
    }
    if wanted > current && !is_upgrade {
        return invalid("Can't downgrade to a newer version.");
    }
    match name {
        METADATA_VERSION => check_metadata_version(current, wanted, update.upgrade_type)?,
        // The quorum keeps this one, in control records.
        KRAFT_VERSION if wanted == current || (wanted > current && can_rise) => return Ok(None),
        KRAFT_VERSION if can_rise => return invalid("The level of the quorum cannot be lowered."),
        KRAFT_VERSION => return invalid("The quorum keeps the level with which it was formatted."),
        ELR_VERSION => check_elr_version(image, wanted)?,
        unserved if UNSERVED_FEATURES.contains(&unserved) => {}
        _ => return invalid("There is no such feature."),
    }
    let record = FeatureLevelRecord { name: name.into(), feature_level: wanted, ..FeatureLevelRecord::default() };
    Ok(Some(record.into()))
}

/// Why not every node supports a level. Who does not name a feature has it at level 0, which is off.
fn why_not_supported(image: &MetadataImage, name: &str, level: i16) -> Option<String> {
    let reason = |who: &str, range: Option<(i16, i16)>| match range.unwrap_or((0, 0)) {
        (min, max) if (min..=max).contains(&level) => None,
        (_, 0) => Some(format!("{who} does not support this feature.")),
        (min, max) => Some(format!("{who} only supports versions {min}-{max}")),
    };
    let own = SUPPORTED_FEATURES.iter().find(|(feature, ..)| *feature == name).map(|&(_, min, max)| (min, max));
    reason("The controller", own).or_else(|| {
        image.brokers().find_map(|broker| {
            let range = broker.features.iter().find(|(feature, ..)| &**feature == name).map(|(_, min, max)| (*min, *max));
            reason(&format!("Broker {}", broker.id), range)
        })
    })
}

/// Partitions have a place for eligible leader replicas since [`ELR_METADATA_VERSION`].
fn check_elr_version(image: &MetadataImage, wanted: i16) -> Result<(), String> {
    if wanted > 0 && image.metadata_version().is_none_or(|level| level < ELR_METADATA_VERSION) {
        return Err(format!(
            "{ELR_VERSION} could not be set to {wanted} because it depends on {METADATA_VERSION} {ELR_METADATA_VERSION} or later."
        ));
    }
    Ok(())
}

/// Who is eligible depends on `min.insync.replicas`, so from here on it is the same for all brokers, and in the metadata.
fn one_minimum_for_all(image: &MetadataImage, context: &Context<'_>) -> Vec<MetadataRecord> {
    let is_set = |resource: &ConfigResource| image.configs(resource).is_some_and(|set| set.contains_key(MIN_INSYNC_REPLICAS));
    let of_all = ConfigResource::Broker(None);
    let added = (!is_set(&of_all)).then(|| minimum_in_sync(context.min_insync_replicas));
    let of_one = image.configured().filter(|resource| matches!(resource, ConfigResource::Broker(Some(_))) && is_set(resource));
    added.into_iter().chain(of_one.map(|one| configs::record(one, MIN_INSYNC_REPLICAS, None))).map(Into::into).collect()
}

/// `metadata.version` falls only as far as nothing that is written would be lost.
fn check_metadata_version(current: i16, wanted: i16, upgrade_type: i8) -> Result<(), String> {
    let is_lost = |level: &i16| wanted < *level && *level <= current;
    if !LEVELS_THAT_CHANGED_METADATA.iter().any(is_lost) {
        return Ok(());
    }
    let why = match upgrade_type {
        UNSAFE_DOWNGRADE => "Unsafe metadata downgrade is not supported in this version.",
        _ => "Refusing to perform the requested downgrade because it might delete metadata information.",
    };
    Err(format!("Unsupported metadata.version downgrade from {current} to {wanted}. {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::tests::World;
    use crate::controller::{Command, MAX_METADATA_VERSION, partition_change};
    use crate::model::BrokerId;
    use crate::protocol::generated::RegisterBrokerRecord;
    use crate::protocol::generated::register_broker_record::BrokerFeature;

    fn ask(world: &mut World, updates: &[(&str, i16, i8)], validate_only: bool) -> Result<(), String> {
        let update = |&(feature, max_version_level, upgrade_type): &(&str, i16, i8)| FeatureUpdateKey {
            feature: feature.into(),
            max_version_level,
            upgrade_type,
            ..FeatureUpdateKey::default()
        };
        let feature_updates = updates.iter().map(update).collect();
        let request = UpdateFeaturesRequest { feature_updates, validate_only, ..UpdateFeaturesRequest::default() };
        match world.call(Command::UpdateFeatures(request)) {
            Reply::UpdateFeatures(Ok(())) => Ok(()),
            Reply::UpdateFeatures(Err(Refusal(code, text))) => {
                assert_eq!(code, ErrorCode::InvalidUpdateVersion);
                Err(text.unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    fn refused(world: &mut World, update: (&str, i16, i8), text: &str) {
        let said = ask(world, &[update], false).unwrap_err();
        assert!(said.contains(text), "{update:?}: {said}");
    }

    #[test]
    fn metadata_version_rises_and_falls_as_far_as_nothing_is_lost() {
        let mut world = World::new(1);
        let level = |world: &World| world.image().metadata_version().unwrap();
        assert_eq!(level(&world), MAX_METADATA_VERSION);
        refused(&mut world, (METADATA_VERSION, 28, UPGRADE), "without setting the upgrade type");
        assert_eq!(ask(&mut world, &[(METADATA_VERSION, 25, UNSAFE_DOWNGRADE)], false), Ok(()));
        assert_eq!(level(&world), 25);
        refused(&mut world, (METADATA_VERSION, 26, SAFE_DOWNGRADE), "Can't downgrade to a newer version");
        refused(&mut world, (METADATA_VERSION, 22, SAFE_DOWNGRADE), "downgrade from 25 to 22. Refusing");
        refused(&mut world, (METADATA_VERSION, 22, UNSAFE_DOWNGRADE), "Unsafe metadata downgrade is not supported");
        for wanted in [0, 16, 30] {
            refused(&mut world, (METADATA_VERSION, wanted, SAFE_DOWNGRADE), "The controller only supports versions 17-29");
        }
        refused(&mut world, (METADATA_VERSION, -1, SAFE_DOWNGRADE), "cannot be less than 0");
        for unknown_type in [-1, 0, 4] {
            refused(&mut world, (METADATA_VERSION, 26, unknown_type), "does not support the given upgrade type");
        }
        assert_eq!(ask(&mut world, &[(METADATA_VERSION, 23, SAFE_DOWNGRADE)], false), Ok(()));
        assert_eq!(ask(&mut world, &[(METADATA_VERSION, 29, UPGRADE)], true), Ok(()));
        assert_eq!(level(&world), 23, "it was only validated");
        assert_eq!(ask(&mut world, &[(METADATA_VERSION, 29, UPGRADE)], false), Ok(()));
        assert_eq!(level(&world), 29);
    }

    #[test]
    fn below_a_change_the_level_is_free_again() {
        assert_eq!(check_metadata_version(22, 17, SAFE_DOWNGRADE), Ok(()));
        assert_eq!(check_metadata_version(29, 29, UPGRADE), Ok(()));
        assert_eq!(check_metadata_version(17, 29, UPGRADE), Ok(()));
        assert!(check_metadata_version(23, 22, SAFE_DOWNGRADE).is_err());
    }

    #[test]
    fn all_updates_hold_or_none() {
        let mut world = World::new(1);
        let said = ask(&mut world, &[(METADATA_VERSION, 28, SAFE_DOWNGRADE), ("no.such", 1, UPGRADE)], false).unwrap_err();
        let start = "The update failed for all features since the following feature had an error: ";
        let end = "Invalid update version 1 for feature no.such. The controller does not support this feature.";
        assert_eq!(said, format!("{start}{end}"));
        assert_eq!(world.image().metadata_version(), Some(29));
        refused(&mut world, ("no.such", 0, UPGRADE), "There is no such feature");
        let twice = [(METADATA_VERSION, 99, UPGRADE), (METADATA_VERSION, 27, SAFE_DOWNGRADE)];
        assert_eq!(ask(&mut world, &twice, false), Ok(()), "the last one counts");
        assert_eq!(world.image().metadata_version(), Some(27));
        assert_eq!(ask(&mut world, &[], false), Ok(()));
        let long = "x".repeat(30_000);
        assert!(ask(&mut world, &[(&long, 1, UPGRADE)], false).unwrap_err().len() < 1000);
    }

    #[test]
    fn every_broker_must_support_a_level() {
        let mut world = World::new(1);
        assert_eq!(ask(&mut world, &[(METADATA_VERSION, 25, SAFE_DOWNGRADE)], false), Ok(()));
        let feature = BrokerFeature {
            name: METADATA_VERSION.into(),
            min_supported_version: 7,
            max_supported_version: 27,
            ..BrokerFeature::default()
        };
        let old = RegisterBrokerRecord { broker_id: 7, features: vec![feature], ..RegisterBrokerRecord::default() };
        world.commit(vec![old.into()]);
        refused(&mut world, (METADATA_VERSION, 28, UPGRADE), "Broker 7 only supports versions 7-27");
        assert_eq!(ask(&mut world, &[(METADATA_VERSION, 27, UPGRADE)], false), Ok(()));
        world.commit(vec![RegisterBrokerRecord { broker_id: 7, ..RegisterBrokerRecord::default() }.into()]);
        refused(&mut world, (METADATA_VERSION, 28, UPGRADE), "Broker 7 does not support this feature.");
    }

    #[test]
    fn eligible_leaders_need_one_minimum_for_all() {
        let mut world = World::new(2);
        let of_one = configs::record(&ConfigResource::Broker(Some(BrokerId(1))), MIN_INSYNC_REPLICAS, Some("2"));
        world.commit(vec![of_one.into()]);
        assert_eq!(ask(&mut world, &[(METADATA_VERSION, 25, SAFE_DOWNGRADE)], false), Ok(()));
        assert_eq!(ask(&mut world, &[(ELR_VERSION, 1, UPGRADE)], true), Ok(()));
        assert!(!partition_change::has_elr(world.image()), "it was only validated");
        assert_eq!(ask(&mut world, &[(ELR_VERSION, 1, UPGRADE)], false), Ok(()));
        assert!(partition_change::has_elr(world.image()));
        let set = |resource| world.image().configs(&resource).and_then(|set| set.get(MIN_INSYNC_REPLICAS).cloned());
        assert_eq!(set(ConfigResource::Broker(None)).as_deref(), Some("1"), "the controller's own");
        assert_eq!(set(ConfigResource::Broker(Some(BrokerId(1)))), None);
        assert_eq!(ask(&mut world, &[(ELR_VERSION, 0, SAFE_DOWNGRADE)], false), Ok(()));
        refused(&mut world, (ELR_VERSION, 2, UPGRADE), "only supports versions 0-1");
        assert!(check_elr_version(&MetadataImage::default(), 1).unwrap_err().contains("depends on metadata.version 23"));
    }

    /// A directory that Apache Kafka has formatted has some of them in force.
    #[test]
    fn what_is_not_served_can_only_be_turned_off() {
        let mut world = World::new(1);
        let on = FeatureLevelRecord { name: "group.version".into(), feature_level: 1, ..FeatureLevelRecord::default() };
        world.commit(vec![on.into()]);
        refused(&mut world, ("group.version", 1, UPGRADE), "The controller does not support this feature.");
        refused(&mut world, ("group.version", 0, UPGRADE), "without setting the upgrade type");
        assert_eq!(ask(&mut world, &[("group.version", 0, SAFE_DOWNGRADE)], false), Ok(()));
        assert_eq!(world.image().features().keys().collect::<Vec<_>>(), [METADATA_VERSION]);
        let before = world.image().next_offset();
        assert_eq!(ask(&mut world, &[(KRAFT_VERSION, 0, UPGRADE)], false), Ok(()));
        assert_eq!(world.image().next_offset(), before, "nothing to write");
        refused(&mut world, (KRAFT_VERSION, 1, UPGRADE), "keeps the level with which it was formatted");
        refused(&mut world, (KRAFT_VERSION, 2, UPGRADE), "The controller only supports versions 0-1");
    }
}
