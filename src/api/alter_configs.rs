//! IncrementalAlterConfigs (44), versions 0 and 1, and AlterConfigs (33), versions 0 to 2.
//!
//! As in Kafka the broker that is asked looks first: at what makes no sense whatever the resource, at the configs of brokers, which it
//! knows best, and at log levels, which it changes by itself. The rest is the controller's, and the answer comes when every core has
//! applied what it decided.

use super::Call;
use super::context::text;
use super::describe_configs::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use crate::config::{BrokerConfig, DynamicConfigs, broker_list_default, validate_dynamic};
use crate::controller::{Command, ConfigAlteration, ConfigChange, ConfigOperation, ConfigResource, Refusal, Reply};
use crate::model::{BrokerId, ErrorCode};
use crate::protocol::StrBytes;
use crate::protocol::generated::alter_configs_request::AlterConfigsRequest;
use crate::protocol::generated::alter_configs_response::{AlterConfigsResourceResponse as Legacy, AlterConfigsResponse};
use crate::protocol::generated::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use crate::protocol::generated::incremental_alter_configs_response::{
    AlterConfigsResourceResponse as Incremental, IncrementalAlterConfigsResponse,
};
use crate::telemetry::{LogLevels, ROOT_LOGGER, VALID_LEVELS};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

/// Operations on the wire (KIP-339).
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) async fn incremental(call: Rc<Call>, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let take = move || {
        let resource = |r: crate::protocol::generated::incremental_alter_configs_request::AlterConfigsResource| {
            let configs = r.configs.into_iter().map(|c| Config { name: c.name, operation: c.config_operation, value: c.value });
            Resource { kind: r.resource_type, name: r.resource_name, configs: configs.collect() }
        };
        request.resources.into_iter().map(resource).collect::<Vec<_>>()
    };
    let resources = call.compute(false, take).await;
    let answers = alter(&call, resources, Way { incremental: true, validate_only: request.validate_only }).await;
    let tell = move || {
        let told = |Answer { kind, name, outcome }: Answer| {
            let Refusal(code, message) = outcome.err().unwrap_or(Refusal(ErrorCode::None, None));
            let error_message = message.as_deref().map(text);
            Incremental { error_code: code.code(), error_message, resource_type: kind, resource_name: name }
        };
        IncrementalAlterConfigsResponse { responses: answers.into_iter().map(told).collect(), ..Default::default() }
    };
    call.compute(false, tell).await
}

pub(super) async fn legacy(call: Rc<Call>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let take = move || {
        let resource = |r: crate::protocol::generated::alter_configs_request::AlterConfigsResource| {
            let configs = r.configs.into_iter().map(|c| Config { name: c.name, operation: SET, value: c.value });
            Resource { kind: r.resource_type, name: r.resource_name, configs: configs.collect() }
        };
        request.resources.into_iter().map(resource).collect::<Vec<_>>()
    };
    let resources = call.compute(false, take).await;
    let answers = alter(&call, resources, Way { incremental: false, validate_only: request.validate_only }).await;
    let tell = move || {
        let told = |Answer { kind, name, outcome }: Answer| {
            let Refusal(code, message) = outcome.err().unwrap_or(Refusal(ErrorCode::None, None));
            let error_message = message.as_deref().map(text);
            Legacy { error_code: code.code(), error_message, resource_type: kind, resource_name: name }
        };
        AlterConfigsResponse { responses: answers.into_iter().map(told).collect(), ..Default::default() }
    };
    call.compute(false, tell).await
}

/// One resource of a request of either kind.
struct Resource {
    kind: i8,
    name: StrBytes,
    configs: Vec<Config>,
}

struct Config {
    name: StrBytes,
    operation: i8,
    value: Option<StrBytes>,
}

/// How a request wants to be carried out.
#[derive(Clone, Copy)]
struct Way {
    incremental: bool,
    validate_only: bool,
}

/// What became of a resource.
struct Answer {
    kind: i8,
    name: StrBytes,
    outcome: Result<(), Refusal>,
}

/// What the broker knows that is asked.
struct Known {
    config: Arc<BrokerConfig>,
    dynamic: DynamicConfigs,
    id: BrokerId,
    log_levels: LogLevels,
    /// A controller is asked: brokers are others, which have looked at what concerns them before they asked.
    is_controller: bool,
}

/// What is left to the controller, and which of the answers its results are.
struct Prepared {
    answers: Vec<Answer>,
    alterations: Vec<ConfigAlteration>,
    places: Vec<usize>,
}

async fn alter(call: &Call, resources: Vec<Resource>, way: Way) -> Vec<Answer> {
    let context = &call.context;
    let image = call.image().await;
    let dynamic = context.dynamic_configs(&image);
    let (config, id, log_levels) = (context.config.clone(), context.broker_id(), context.log_levels.clone());
    let known = Known { config, dynamic, id, log_levels, is_controller: call.is_for_controllers() };
    let Prepared { mut answers, alterations, places } = call.compute(false, move || prepare(&known, resources, way)).await;
    if alterations.is_empty() {
        return answers;
    }
    let command = Command::AlterConfigs { alterations, validate_only: way.validate_only };
    let results = match call.decide(command).await {
        Ok(Reply::AlterConfigs(results)) => results,
        Ok(other) => unreachable!("AlterConfigs was answered with {other:?}"),
        Err(undecided) => vec![Err(undecided.refusal()); places.len()],
    };
    let fill = move || {
        for (place, outcome) in places.into_iter().zip(results) {
            answers[place].outcome = outcome;
        }
        answers
    };
    call.compute(false, fill).await
}

fn prepare(known: &Known, resources: Vec<Resource>, way: Way) -> Prepared {
    let mut times: BTreeMap<(i8, StrBytes), usize> = BTreeMap::new();
    for resource in &resources {
        *times.entry((resource.kind, resource.name.clone())).or_default() += 1;
    }
    let (mut answers, mut alterations, mut places) = (Vec::with_capacity(resources.len()), vec![], vec![]);
    for resource in resources {
        let outcome = match times[&(resource.kind, resource.name.clone())] {
            1 => look_at(known, &resource, way),
            _ => Err(invalid_request("Each resource must appear at most once.")),
        };
        let outcome = outcome.map(|alteration| {
            places.extend(alteration.is_some().then_some(answers.len()));
            alterations.extend(alteration);
        });
        answers.push(Answer { kind: resource.kind, name: resource.name, outcome });
    }
    Prepared { answers, alterations, places }
}

fn invalid_request(text: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, text)
}

/// What is left to the controller, if anything is.
fn look_at(known: &Known, resource: &Resource, way: Way) -> Result<Option<ConfigAlteration>, Refusal> {
    let mut seen = BTreeSet::new();
    if !resource.configs.iter().all(|config| seen.insert(&config.name)) {
        return Err(invalid_request("Error due to duplicate config keys"));
    }
    let is_null = |config: &&Config| config.value.is_none() && !(way.incremental && config.operation == DELETE);
    let nulls: Vec<&str> = resource.configs.iter().filter(is_null).map(|config| &*config.name).collect();
    if !nulls.is_empty() {
        return Err(invalid_request(format!("Null value not supported for : {}", nulls.join(", "))));
    }
    let of = match resource.kind {
        TOPIC => ConfigResource::Topic(Arc::from(&*resource.name)),
        BROKER => ConfigResource::Broker(broker_id(known, &resource.name)?),
        BROKER_LOGGER if way.incremental => return alter_levels(known, resource, way).map(|()| None),
        CLIENT_METRICS | GROUP => ConfigResource::Other(resource.kind, Arc::from(&*resource.name)),
        other => return Err(invalid_request(format!("Unknown resource type {other}"))),
    };
    let operations = operations(resource)?;
    if let ConfigResource::Broker(id) = &of
        && !known.is_controller
    {
        judge_broker(known, id.is_some(), &operations, way)?;
    }
    let change = match way.incremental {
        true => ConfigChange::Incremental(operations),
        false => {
            ConfigChange::Replace(operations.into_iter().filter_map(|(name, operation)| Some((name, set(operation)?))).collect())
        }
    };
    Ok(Some(ConfigAlteration { resource: of, change }))
}

/// The value that an operation sets.
fn set(operation: ConfigOperation) -> Option<String> {
    match operation {
        ConfigOperation::Set(value) => Some(value),
        _ => None,
    }
}

/// No name stands for all brokers; any other must be this broker's.
fn broker_id(known: &Known, name: &str) -> Result<Option<BrokerId>, Refusal> {
    if name.is_empty() {
        return Ok(None);
    }
    match name.parse() {
        Ok(id) if BrokerId(id) == known.id || known.is_controller => Ok(Some(BrokerId(id))),
        Ok(_) => Err(invalid_request(format!("Unexpected broker id, expected {}, but received {name}", known.id))),
        Err(_) => Err(invalid_request(format!("Node id must be an integer, but it is: {name}"))),
    }
}

fn operations(resource: &Resource) -> Result<Vec<(String, ConfigOperation)>, Refusal> {
    let operation = |config: &Config| {
        let value = || config.value.as_deref().unwrap_or_default().to_owned();
        let operation = match config.operation {
            SET => ConfigOperation::Set(value()),
            DELETE => ConfigOperation::Delete,
            APPEND => ConfigOperation::Append(value()),
            SUBTRACT => ConfigOperation::Subtract(value()),
            other => return Err(invalid_request(format!("Unknown operations type {other}"))),
        };
        Ok((config.name.to_string(), operation))
    };
    resource.configs.iter().map(operation).collect()
}

/// Judges everything that would then be set on this broker, or on all.
fn judge_broker(known: &Known, per_broker: bool, operations: &[(String, ConfigOperation)], way: Way) -> Result<(), Refusal> {
    let now = if per_broker { &known.dynamic.broker } else { &known.dynamic.cluster };
    let mut configs = if way.incremental { now.clone() } else { BTreeMap::new() };
    for (name, operation) in operations {
        let value = operation.apply(configs.get(name).map(String::as_str), broker_list_default(name)).map_err(|what| {
            let what = what.to_ascii_lowercase();
            Refusal::new(ErrorCode::InvalidConfig, format!("Config value {what} is not allowed for config key: {name}"))
        })?;
        match value {
            Some(value) => drop(configs.insert(name.clone(), value)),
            None => drop(configs.remove(name)),
        }
    }
    validate_dynamic(&known.config, &known.dynamic, &configs, per_broker).map_err(invalid_request)
}

/// Changes the levels of loggers, all of them or none.
fn alter_levels(known: &Known, resource: &Resource, way: Way) -> Result<(), Refusal> {
    match resource.name.parse() {
        Ok(id) if BrokerId(id) == known.id => {}
        Ok(id) => return Err(invalid_request(format!("Unexpected node id. Expected {}, but received {id}", known.id))),
        Err(_) => return Err(invalid_request(format!("Node id must be an integer, but it is: {}", resource.name))),
    }
    let invalid_config = |text: String| Refusal::new(ErrorCode::InvalidConfig, text);
    for Config { name, operation, value } in &resource.configs {
        if matches!(*operation, APPEND | SUBTRACT) {
            let what = if *operation == APPEND { "APPEND" } else { "SUBTRACT" };
            return Err(invalid_request(format!("{what} operation is not allowed for the BROKER_LOGGER resource")));
        }
        if !matches!(*operation, SET | DELETE) {
            return Err(invalid_request(format!(
                "Unknown operation type {operation} is not allowed for the BROKER_LOGGER resource"
            )));
        }
        if !known.log_levels.has(name) {
            return Err(invalid_config(format!("Logger {name} does not exist!")));
        }
        let level = value.as_deref().unwrap_or_default();
        if *operation == SET && !VALID_LEVELS.contains(&level) {
            return Err(invalid_config(format!(
                "Cannot set the log level of {name} to {level} as it is not a supported log level. Valid log levels are {}",
                VALID_LEVELS.join(", ")
            )));
        }
        if *operation == DELETE && *name == ROOT_LOGGER {
            return Err(invalid_request(format!("Removing the log level of the {ROOT_LOGGER} logger is not allowed")));
        }
    }
    for Config { name, operation, value } in resource.configs.iter().filter(|_| !way.validate_only) {
        let level = value.as_deref().filter(|_| *operation == SET);
        let done = known.log_levels.set(name, level);
        tracing::warn!(logger = &**name, level, done, "the log level was changed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let config = BrokerConfig::load(None, &[]).unwrap().0;
        let dynamic = DynamicConfigs { broker: [("max.connections".to_owned(), "9".to_owned())].into(), ..Default::default() };
        Known { config: Arc::new(config), dynamic, id: BrokerId(1), log_levels: LogLevels::default(), is_controller: false }
    }

    fn config(name: &str, operation: i8, value: Option<&str>) -> Config {
        Config { name: text(name), operation, value: value.map(text) }
    }

    fn one(kind: i8, name: &str, configs: Vec<Config>) -> Resource {
        Resource { kind, name: text(name), configs }
    }

    const INCREMENTAL: Way = Way { incremental: true, validate_only: false };

    fn refused(resource: Resource, way: Way) -> (ErrorCode, String) {
        let Refusal(code, text) = look_at(&known(), &resource, way).unwrap_err();
        (code, text.unwrap())
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_kafkas_words() {
        let set = |name: &str, value| config(name, SET, value);
        for (resource, text) in [
            (one(TOPIC, "t", vec![set("a", Some("1")), set("a", Some("2"))]), "Error due to duplicate config keys"),
            (one(TOPIC, "t", vec![set("a", None), config("b", DELETE, None)]), "Null value not supported for : a"),
            (one(TOPIC, "t", vec![config("a", 9, Some("1"))]), "Unknown operations type 9"),
            (one(77, "t", vec![]), "Unknown resource type 77"),
            (one(BROKER, "x", vec![]), "Node id must be an integer, but it is: x"),
            (one(BROKER, "2", vec![]), "Unexpected broker id, expected 1, but received 2"),
            (one(BROKER, "1", vec![set("log.dirs", Some("/x"))]), "Cannot update these configs dynamically: Set(log.dirs)"),
            (one(BROKER_LOGGER, "2", vec![]), "Unexpected node id. Expected 1, but received 2"),
            (
                one(BROKER_LOGGER, "1", vec![config("root", APPEND, Some("INFO"))]),
                "APPEND operation is not allowed for the BROKER_LOGGER resource",
            ),
        ] {
            assert_eq!(refused(resource, INCREMENTAL), (ErrorCode::InvalidRequest, text.to_owned()));
        }
        let legacy = Way { incremental: false, ..INCREMENTAL };
        assert_eq!(refused(one(BROKER_LOGGER, "1", vec![]), legacy).1, "Unknown resource type 8");
        let append = || one(BROKER, "", vec![config("max.connections", APPEND, Some("1"))]);
        let text = "Config value append is not allowed for config key: max.connections";
        assert_eq!(refused(append(), INCREMENTAL), (ErrorCode::InvalidConfig, text.to_owned()));
        let level = || one(BROKER_LOGGER, "1", vec![config("root", SET, Some("INFO"))]);
        assert_eq!(refused(level(), INCREMENTAL), (ErrorCode::InvalidConfig, "Logger root does not exist!".to_owned()));
    }

    #[test]
    fn a_resource_that_comes_twice_fails_twice_and_the_others_go_on() {
        let resources = vec![one(TOPIC, "a", vec![]), one(TOPIC, "b", vec![]), one(TOPIC, "a", vec![]), one(GROUP, "a", vec![])];
        let Prepared { answers, alterations, places } = prepare(&known(), resources, INCREMENTAL);
        assert_eq!(answers.iter().map(|answer| answer.outcome.is_ok()).collect::<Vec<_>>(), [false, true, false, true]);
        assert_eq!((alterations.len(), places), (2, vec![1, 3]));
    }

    #[test]
    fn a_brokers_change_is_judged_with_what_is_set_already() {
        let change = |operation, value| {
            let resource = one(BROKER, "1", vec![config("max.connections", operation, value)]);
            look_at(&known(), &resource, INCREMENTAL).map(|alteration| alteration.unwrap())
        };
        let expected = ConfigChange::Incremental(vec![("max.connections".to_owned(), ConfigOperation::Delete)]);
        assert_eq!(
            change(DELETE, None).unwrap(),
            ConfigAlteration { resource: ConfigResource::Broker(Some(BrokerId(1))), change: expected }
        );
        assert!(change(SET, Some("8")).is_ok() && change(SET, Some("-8")).is_err());
    }
}
