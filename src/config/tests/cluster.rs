//! Nodes of a cluster: roles, voters, listeners and times against each other. Many of these are cases of Kafka's own test of its
//! settings (`KafkaConfigTest`).

use crate::config::{BrokerConfig, ConfigError, Listener, QuorumVoter, Warning};
use crate::model::BrokerId;

const VOTERS: &str = "controller.quorum.voters=1@a:9093,2@b:9093,3@c:9093\ncontroller.listener.names=CONTROLLER\n";

fn parse(lines: &str) -> Result<(BrokerConfig, Vec<Warning>), ConfigError> {
    BrokerConfig::load(Some(lines.as_bytes()), &[])
}

fn node(id: i32, roles: &str, more: &str) -> Result<BrokerConfig, String> {
    let parsed = parse(&format!("node.id={id}\nprocess.roles={roles}\n{more}"));
    parsed.map(|(config, _)| config).map_err(|error| error.to_string())
}

fn texts(listeners: &[Listener]) -> Vec<String> {
    listeners.iter().map(ToString::to_string).collect()
}

fn names(listeners: &[Listener]) -> Vec<&str> {
    listeners.iter().map(|listener| listener.name.as_str()).collect()
}

#[test]
fn a_node_that_does_not_say_what_it_is_is_alone() {
    for lines in [
        "node.id=1",
        "node.id=1\nprocess.roles=controller,broker",
        "node.id=1\ncontroller.quorum.voters=1@localhost:9093",
        "node.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093",
        "node.id=1\ncontroller.quorum.voters=1@a:1\ncontroller.quorum.bootstrap.servers=a:1,b:1",
    ] {
        let (config, _) = parse(lines).unwrap();
        let roles = config.process_roles();
        assert!(config.is_alone() && roles.broker && roles.controller, "{lines}");
    }
}

#[test]
fn nodes_of_a_cluster_are_read() {
    let combined = "listeners=PLAINTEXT://h:9092,CONTROLLER://h:9093";
    for (roles, id, listeners) in [
        ("broker", 4, "listeners=PLAINTEXT://h:9092"),
        ("controller", 1, "listeners=CONTROLLER://h:9093"),
        ("broker,controller", 2, combined),
    ] {
        let lines = format!("node.id={id}\nprocess.roles={roles}\n{listeners}\n{VOTERS}");
        let (config, warnings) = parse(&lines).unwrap();
        assert_eq!(warnings, []);
        assert!(!config.is_alone());
    }
}

#[test]
fn who_decides_on_the_metadata() {
    let config = node(2, "broker,controller", &format!("{VOTERS}listeners=PLAINTEXT://h:9092,CONTROLLER://h:9093")).unwrap();
    let voter = |id: i32, host: &str| QuorumVoter { id: BrokerId(id), host: host.to_owned(), port: 9093 };
    assert_eq!(config.quorum_voters(), [voter(1, "a"), voter(2, "b"), voter(3, "c")]);
    assert_eq!(config.quorum_bootstrap_servers(), []);
    let lines = "controller.quorum.bootstrap.servers=a:1, [::1]:2\ncontroller.listener.names=controller,controller,Other";
    let config = node(9, "broker", &format!("listeners=PLAINTEXT://h:9092\n{lines}")).unwrap();
    assert_eq!((config.quorum_voters(), config.quorum_bootstrap_servers()), (vec![], vec![("a".into(), 1), ("::1".into(), 2)]));
    assert_eq!(config.controller_listener_names(), ["CONTROLLER", "OTHER"]);
    assert!(config.is_controller_listener("Controller") && !config.is_controller_listener("PLAINTEXT"));
}

#[test]
fn roles_and_voters_that_do_not_go_together() {
    let broker = "listeners=PLAINTEXT://h:9092";
    let controller = "listeners=CONTROLLER://h:9093";
    let names = "controller.listener.names=CONTROLLER";
    for (id, roles, lines, part) in [
        (4, "broker", format!("{broker}\n{names}"), "controller.quorum.bootstrap.servers"),
        (4, "controller", format!("{controller}\n{names}"), "controller.quorum.voters"),
        (2, "broker", format!("{broker}\n{VOTERS}"), "node.id=2 must not be one of controller.quorum.voters, which are 1,2,3"),
        (4, "controller", format!("{controller}\n{VOTERS}"), "node.id=4 must be one of controller.quorum.voters"),
        (4, "broker,controller", VOTERS.to_owned(), "node.id=4 must be one of controller.quorum.voters"),
        (4, "broker", format!("{broker}\n{VOTERS}controller.quorum.auto.join.enable=true"), "auto.join.enable"),
        (4, "broker,broker", broker.to_owned(), "duplicated"),
        (4, "", broker.to_owned(), "must not be empty"),
        (4, "observer", broker.to_owned(), "String must be one of: broker, controller"),
        (-1, "controller", format!("{controller}\n{VOTERS}"), "at least 0"),
        (1, "controller", format!("{controller}\n{names}\ncontroller.quorum.voters=1@0.0.0.0:1"), "nobody can connect"),
        (1, "controller", format!("{controller}\n{names}\ncontroller.quorum.voters=1@a"), "id@host:port"),
        (4, "broker", format!("{broker}\n{names}\ncontroller.quorum.bootstrap.servers=a"), "host:port"),
    ] {
        let said = node(id, roles, &lines).unwrap_err();
        assert!(said.contains(part), "{id} {roles} {lines}: {said}");
    }
}

#[test]
fn a_node_that_is_just_a_controller_listens_to_nodes() {
    let config = node(2, "controller", &format!("{VOTERS}listeners=CONTROLLER://:0")).unwrap();
    assert_eq!((config.listeners.len(), texts(&config.controller_listeners)), (0, vec!["CONTROLLER://:0".to_owned()]));
    let advertised = config.advertised_controller_listeners("me.example", |name| (name == "CONTROLLER").then_some(4000));
    assert_eq!(texts(&advertised), ["CONTROLLER://me.example:4000"]);
    assert_eq!(config.advertised_listeners("me.example", |_| None), []);
    for (lines, part) in [
        ("listeners=PLAINTEXT://h:9092", "CONTROLLER is not in listeners"),
        ("listeners=PLAINTEXT://h:9092,CONTROLLER://h:9093", "process.roles=controller has listeners of"),
        ("listeners=CONTROLLER://h:9093\ninter.broker.listener.name=CONTROLLER", "not for brokers"),
        ("listeners=CONTROLLER://0.0.0.0:9093", "other nodes cannot reach"),
        ("listeners=CONTROLLER://:9093\nadvertised.listeners=CONTROLLER://0.0.0.0:9093", "other nodes cannot reach"),
        ("listeners=CONTROLLER://h:9093\nadvertised.listeners=PLAINTEXT://h:9092", "no listener of this name"),
        ("listeners=CONTROLLER://h:9093\nlistener.security.protocol.map=CONTROLLER:SSL", "SSL is not served yet"),
        ("listeners=CONTROLLER://h:9093\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT", "add CONTROLLER:PLAINTEXT"),
        ("", "CONTROLLER is not in listeners"),
    ] {
        let said = node(2, "controller", &format!("{VOTERS}{lines}")).unwrap_err();
        assert!(said.contains(part), "{lines}: {said}");
    }
    let nameless =
        "controller.quorum.voters=2@a:1\nlisteners=CONTROLLER://h:9093\nlistener.security.protocol.map=CONTROLLER:PLAINTEXT";
    assert!(node(2, "controller", nameless).unwrap_err().contains("must name the listener of the controllers"));
}

#[test]
fn controllers_advertise_what_is_said_or_else_where_they_listen() {
    let lines = "controller.listener.names=C1,C2\nlisteners=C2://:9094,C1://:9093,PLAINTEXT://:9092\n\
        controller.quorum.voters=2@a:9093,3@b:9093\n";
    let told = |more: &str| {
        let config = node(2, "broker,controller", &format!("{lines}{more}")).unwrap();
        let clients = config.advertised_listeners("me", |_| None);
        [texts(&config.advertised_controller_listeners("me", |_| None)), texts(&clients)].concat()
    };
    assert_eq!(told(""), ["C1://me:9093", "C2://me:9094", "PLAINTEXT://me:9092"]);
    let mixed = "advertised.listeners=PLAINTEXT://p.example:1,C2://c.example:2";
    assert_eq!(told(mixed), ["C1://me:9093", "C2://c.example:2", "PLAINTEXT://p.example:1"]);
    let none = node(2, "broker,controller", &format!("{lines}advertised.listeners=C1://c.example:2")).unwrap_err();
    assert!(none.contains("no listener for clients"), "{none}");
}

#[test]
fn a_node_that_is_just_a_broker_calls_controllers() {
    let config = node(4, "broker", &format!("{VOTERS}listeners=PLAINTEXT://h:9092")).unwrap();
    assert_eq!((names(&config.listeners), config.controller_listeners.len()), (vec!["PLAINTEXT"], 0));
    assert_eq!(config.inter_broker_listener_name(), "PLAINTEXT");
    for (lines, part) in [
        ("listeners=PLAINTEXT://h:9092,CONTROLLER://h:9093", "CONTROLLER must not be in listeners"),
        ("listener.security.protocol.map=PLAINTEXT:PLAINTEXT", "add CONTROLLER:PLAINTEXT"),
        ("listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:SASL_SSL", "SASL_SSL is not served yet"),
        ("listeners=SSL://h:9092", "SSL is not served yet"),
        ("listeners=", "no listener for clients"),
    ] {
        let said = node(4, "broker", &format!("{VOTERS}{lines}")).unwrap_err();
        assert!(said.contains(part), "{lines}: {said}");
    }
    let nameless = "controller.quorum.voters=1@a:1";
    assert!(node(4, "broker", nameless).unwrap_err().contains("must name the listener of the controllers"));
    let two = "node.id=4\nprocess.roles=broker\ncontroller.quorum.voters=1@a:1\ncontroller.listener.names=A,B";
    let (_, warnings) = parse(two).unwrap();
    assert!(warnings.len() == 1 && warnings[0].message.contains("only A is used"), "{warnings:?}");
}

#[test]
fn brokers_call_each_other_by_a_listener_that_is_advertised() {
    let base = "controller.quorum.voters=1@a:9093\ncontroller.listener.names=C\nlisteners=PLAINTEXT://:9092,INSIDE://:9093\n\
        listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT,C:PLAINTEXT\n";
    let name = |more: &str| node(4, "broker", &format!("{base}{more}")).map(|config| config.inter_broker_listener_name());
    assert_eq!(name("").as_deref(), Ok("PLAINTEXT"));
    assert_eq!(name("inter.broker.listener.name=inside").as_deref(), Ok("INSIDE"));
    assert_eq!(name("security.inter.broker.protocol=PLAINTEXT").as_deref(), Ok("PLAINTEXT"));
    for (lines, part) in [
        ("inter.broker.listener.name=OUTSIDE", "there are PLAINTEXT, INSIDE"),
        ("inter.broker.listener.name=C", "there are PLAINTEXT, INSIDE"),
        ("advertised.listeners=INSIDE://h:9093", "inter.broker.listener.name is PLAINTEXT"),
        ("security.inter.broker.protocol=SASL_PLAINTEXT", "only PLAINTEXT is served"),
        ("inter.broker.listener.name=INSIDE\nsecurity.inter.broker.protocol=PLAINTEXT", "not both"),
    ] {
        let said = name(lines).unwrap_err();
        assert!(said.contains(part), "{lines}: {said}");
    }
}

#[test]
fn times_that_do_not_go_together() {
    for (lines, part) in [
        ("replica.socket.timeout.ms=499", "at least replica.fetch.wait.max.ms, which is 500"),
        ("replica.lag.time.max.ms=499", "at least replica.fetch.wait.max.ms"),
        ("replica.fetch.wait.max.ms=30001", "at least replica.fetch.wait.max.ms, which is 30001"),
        ("broker.session.timeout.ms=0", "must be at least 1"),
        ("broker.heartbeat.interval.ms=-5", "must be at least 1"),
        ("controller.quorum.fetch.timeout.ms=-1", "must be at least 0"),
        ("replica.selector.class=com.example.Mine", "String must be one of"),
    ] {
        let said = parse(&format!("node.id=1\n{lines}")).unwrap_err().to_string();
        assert!(said.contains(part), "{lines}: {said}");
    }
    let late = |lines: &str| {
        let (_, warnings) = parse(&format!("node.id=1\n{lines}")).unwrap();
        warnings.iter().any(|warning| warning.message.contains("more than half of broker.session.timeout.ms"))
    };
    assert!(late("broker.heartbeat.interval.ms=4501") && !late("broker.heartbeat.interval.ms=4500"));
}

#[test]
fn times_and_sizes_are_kafkas_where_nothing_is_said() {
    let (config, _) = parse("node.id=1").unwrap();
    let quorum = [
        config.quorum_election_timeout_ms(),
        config.quorum_election_backoff_max_ms(),
        config.quorum_fetch_timeout_ms(),
        config.quorum_request_timeout_ms(),
    ];
    assert_eq!(quorum, [1_000, 1_000, 2_000, 2_000]);
    assert_eq!((config.broker_heartbeat_interval_ms(), config.broker_session_timeout_ms()), (2_000, 9_000));
    assert_eq!((config.replica_lag_time_max_ms(), config.replica_fetch_backoff_ms()), (30_000, 1_000));
    let fetch = [
        config.replica_fetch_max_bytes(),
        config.replica_fetch_min_bytes(),
        config.replica_fetch_response_max_bytes(),
        config.replica_fetch_wait_max_ms(),
    ];
    assert_eq!(fetch, [1_048_576, 1, 10_485_760, 500]);
    assert!(!config.selects_replicas_by_rack());
    let by_rack = "node.id=1\nreplica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector";
    assert!(parse(by_rack).unwrap().0.selects_replicas_by_rack());
}

/// A controller whose settings name no voters joins a quorum whose voters can change, or is the first of one (KIP-853).
#[test]
fn controllers_need_no_voters_in_their_settings() {
    let more = "listeners=PLAINTEXT://h:9092,CONTROLLER://h:9093\ncontroller.listener.names=CONTROLLER\n\
        controller.quorum.bootstrap.servers=";
    assert!(!node(1, "broker,controller", &format!("{more}a:1,b:1")).unwrap().is_alone());
    let mut config = node(1, "broker,controller", &format!("{more}h:9093")).unwrap();
    assert!(config.is_alone());
    config.set_voters_can_change();
    assert!(!config.is_alone(), "others can be added to it");
}
