use super::*;

const ALONE: &str = "node.id=1\nlog.dirs=/data/b,/data/a\nmetadata.log.dir=/meta\n";
const CLUSTERED: &str = "process.roles=broker,controller\ncontroller.quorum.voters=1@a:9093,2@b:9093,3@c:9093\n\
    controller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://h:9092,CONTROLLER://h:9093\n";
const BROKER: &str = "process.roles=broker\ncontroller.quorum.bootstrap.servers=a:9093\ncontroller.listener.names=CONTROLLER\n\
    listeners=PLAINTEXT://h:9092\n";
/// A controller whose settings do not name the voters.
const CONTROLLER: &str = "process.roles=controller\ncontroller.quorum.bootstrap.servers=h:9093\n\
    controller.listener.names=CONTROLLER\nlisteners=CONTROLLER://h:9093\n";
const ID: &str = "W8ptHkmGQTW2JPV79YgmOQ";

fn config(lines: &str) -> BrokerConfig {
    BrokerConfig::load(Some(format!("{ALONE}{lines}").as_bytes()), &[]).unwrap().0
}

fn arguments() -> FormatArguments {
    FormatArguments { cluster_id: ID.to_owned(), ..FormatArguments::default() }
}

fn refused(lines: &str, arguments: FormatArguments, part: &str) {
    let said = plan(&config(lines), &arguments).unwrap_err();
    assert!(said.contains(part), "{lines}: {said}");
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_log_dir_of_the_node_is_formatted() {
    let plan = plan(&config(CLUSTERED), &arguments()).unwrap();
    let dirs: Vec<&str> = plan.directories.iter().map(|dir| dir.to_str().unwrap()).collect();
    assert_eq!(dirs, ["/data/a", "/data/b", "/meta"]);
    assert_eq!((plan.node_id, plan.cluster_id.as_str(), plan.metadata_version), (1, ID, release::latest()));
    assert_eq!((plan.metadata_dir.to_str().unwrap(), plan.metadata_dir_id), ("/meta", None));
}

#[test]
fn who_votes_comes_from_the_settings_or_is_said() {
    let standalone = || FormatArguments { standalone: true, ..arguments() };
    let initial = |voters: &str| FormatArguments { initial_controllers: Some(voters.to_owned()), ..arguments() };
    let none = || FormatArguments { no_initial_controllers: true, ..arguments() };
    let with = |lines: &str, arguments: FormatArguments| plan(&config(lines), &arguments).unwrap();
    for (lines, arguments) in [
        ("", arguments()),
        ("", standalone()),
        (CLUSTERED, arguments()),
        (CLUSTERED, none()),
        (BROKER, none()),
        (BROKER, arguments()),
    ] {
        assert_eq!(with(lines, arguments).voters, Voting::Settings, "{lines}");
    }
    // Roles are both; the one server that it knows is itself, or was not meant.
    let lone = "controller.quorum.bootstrap.servers=h:9093\n";
    assert_eq!(with(lone, arguments()).voters, Voting::Alone);
    assert_eq!(with(lone, standalone()).voters, Voting::Alone);
    let at = |host: &str, port| vec![MemberEndpoint { listener: "CONTROLLER".into(), host: host.into(), port }];
    assert_eq!(with(CONTROLLER, standalone()).voters, Voting::Standalone(at("h", 9093)));
    assert_eq!(with(CONTROLLER, none()).voters, Voting::Joining);
    let (mine, other) = ("JEXY6aqzQY-32P5TStzaFg", "MvDxzVmcRsaTz33bUuRU6A");
    let named = with(CONTROLLER, initial(&format!("2@h:2:{other},1@[::1]:9093:{mine}")));
    assert_eq!(named.metadata_dir_id.unwrap().to_string(), mine);
    let member = |id: i32, directory: &str, at| (BrokerId(id), Member::new(directory.parse().unwrap(), at));
    let voters = vec![member(1, mine, at("::1", 9093)), member(2, other, at("h", 2))];
    assert_eq!(named.voters, Voting::Initial(voters));

    refused(CLUSTERED, standalone(), "controller.quorum.voters is set");
    refused(CLUSTERED, initial("1@h:9093:JEXY6aqzQY-32P5TStzaFg"), "controller.quorum.voters is set");
    refused(BROKER, standalone(), "for controllers only");
    refused(CONTROLLER, arguments(), "you must specify one of the following: --standalone");
    refused("", none(), "no listener of this controller");
    refused(CONTROLLER, initial("2@h:9093:JEXY6aqzQY-32P5TStzaFg"), "does not name this node, 1");
    refused(BROKER, initial("1@h:9093:JEXY6aqzQY-32P5TStzaFg"), "for controllers only");
}

#[test]
fn initial_controllers_have_a_form() {
    let id = "JEXY6aqzQY-32P5TStzaFg";
    let parsed = parse_initial_controllers(&format!(" 0@example.com:8082:{id},1@[fe80::1]:8083:{id}, "), "C").unwrap();
    let places: Vec<_> = parsed.iter().map(|(id, member)| (id.0, member.endpoints[0].host.as_str())).collect();
    assert_eq!(places, [(0, "example.com"), (1, "fe80::1")]);
    for (text, part) in [
        (String::new(), "names nobody"),
        (format!("h:1:{id}"), "no @"),
        (format!("@h:1:{id}"), "node id"),
        (format!("-1@h:1:{id}"), "node id"),
        (format!("x@h:1:{id}"), "node id"),
        ("1@h".to_owned(), "no directory id"),
        (format!("1@h:{id}"), "no port"),
        (format!("1@:1:{id}"), "no host"),
        (format!("1@::1:1:{id}"), "without brackets"),
        (format!("1@h:66666:{id}"), "port"),
        ("1@h:1:short".to_owned(), "directory id is no id"),
        (format!("1@h:1:{id},1@h:2:{id}"), "named twice"),
    ] {
        let said = parse_initial_controllers(&text, "C").unwrap_err();
        assert!(said.contains(part), "{text}: {said}");
    }
}

#[test]
fn the_cluster_begins_with_features_that_are_served() {
    let level = |release: Option<&str>, features: &[&str]| metadata_version(release, &names(features), false);
    assert_eq!(level(None, &[]), Ok(29));
    assert_eq!(metadata_version(None, &names(&["kraft.version=1"]), true), Ok(29));
    let said = metadata_version(None, &names(&["kraft.version=0"]), true).unwrap_err();
    assert!(said.starts_with("Cannot set kraft.version to 0 if one of the flags"), "{said}");
    assert_eq!(level(Some("4.1"), &["kraft.version=0", "group.version=0"]), Ok(27));
    assert_eq!(level(None, &["metadata.version=20"]), Ok(20));
    for (release, features, part) in [
        (Some("4.2"), &["metadata.version=29"][..], "not both"),
        (None, &["metadata.version=30"], "metadata.version 30 is not supported"),
        (None, &["kraft.version=1"], "Cannot set kraft.version to 1 unless one of the flags"),
        (None, &["transaction.version=2"], "Feature transaction.version is not served at level 2 yet"),
        (
            None,
            &["no.such=1"],
            "Unsupported feature: no.such. Supported features are: eligible.leader.replicas.version, kraft.version, metadata.version",
        ),
        (None, &["no.such"], "expected FEATURE=LEVEL"),
        (None, &["metadata.version=x"], "expected FEATURE=LEVEL"),
        (None, &["metadata.version=20", "metadata.version=21"], "said twice"),
        (Some("3.5"), &[], "Version 3.5 is not a supported version"),
    ] {
        let said = level(release, features).unwrap_err();
        assert!(said.contains(part), "{release:?} {features:?}: {said}");
    }
}

#[test]
fn eligible_leaders_are_kept_where_kafka_keeps_them() {
    let keeps = |level: i16, features: &[&str]| keeps_eligible(level, &names(features));
    assert_eq!((keeps(29, &[]), keeps(26, &[]), keeps(25, &[])), (Ok(true), Ok(true), Ok(false)));
    assert_eq!(keeps(29, &["eligible.leader.replicas.version=0"]), Ok(false));
    assert_eq!(keeps(26, &["kraft.version=0", "eligible.leader.replicas.version=1"]), Ok(true));
    assert!(keeps(25, &["eligible.leader.replicas.version=1"]).unwrap_err().contains("4.1-IV0"));
    let two = plan(&config(&format!("{CLUSTERED}\nmin.insync.replicas=2")), &arguments()).unwrap();
    assert_eq!((two.metadata_version, two.eligible), (29, Some(2)));
}

#[test]
fn a_cluster_id_is_a_word() {
    for id in ["", " ", "a b", "a\nnode.id=2"] {
        refused(CLUSTERED, FormatArguments { cluster_id: id.to_owned(), ..arguments() }, "must be a word");
    }
}

/// On a disk that is simulated.
#[cfg(feature = "sim")]
mod on_disk {
    use super::*;
    use crate::io::sim::{Options, World};
    use std::future::Future;

    fn with_disk<F: Future<Output = ()> + 'static>(work: impl FnOnce(Io) -> F + 'static) {
        let world = World::new(3, Options::default());
        let host = world.add_host("node", 1);
        world.run(host, work);
    }

    fn planned() -> Plan {
        plan(&config(CLUSTERED), &arguments()).unwrap()
    }

    #[test]
    fn a_formatted_node_has_its_id_and_what_a_cluster_begins_with() {
        with_disk(|io| async move {
            let plan = Plan { metadata_version: 22, ..planned() };
            format(io.clone(), plan.clone()).await.unwrap();
            let mut ids = BTreeSet::new();
            for dir in &plan.directories {
                let meta = LogDir::read_meta(&io, dir).await.unwrap().expect("it is formatted");
                assert_eq!((meta.cluster_id.as_str(), meta.node_id), (ID, 1));
                assert!(ids.insert(meta.directory_id.to_string()));
                assert!(io.exists(&dir.join("bootstrap.checkpoint")).await.unwrap());
            }
            let told = info(&io, &plan.directories).await;
            assert!(!told.has_problems);
            let first = LogDir::read_meta(&io, Path::new("/data/a")).await.unwrap().unwrap().directory_id;
            let expected = format!(
                "Found log directories:\n  /data/a\n  /data/b\n  /meta\n\n\
                 Found metadata: {{cluster.id={ID}, directory.id={first}, node.id=1, version=1}}\n\n"
            );
            assert_eq!(told.text, expected);
        });
    }

    #[test]
    fn a_controller_whose_voters_can_change_finds_them_on_its_disk() {
        let standalone = FormatArguments { standalone: true, ..arguments() };
        let joining = FormatArguments { no_initial_controllers: true, ..arguments() };
        for (lines, arguments, is_dynamic) in
            [(CLUSTERED, arguments(), false), (CONTROLLER, standalone, true), (CONTROLLER, joining, true)]
        {
            let plan = plan(&config(lines), &arguments).unwrap();
            with_disk(move |io| async move {
                let dir = plan.metadata_dir.clone();
                assert!(!quorum::is_dynamic(&io, &dir).await.unwrap());
                format(io.clone(), plan).await.unwrap();
                assert_eq!(quorum::is_dynamic(&io, &dir).await.unwrap(), is_dynamic, "{lines}");
                assert!(!quorum::is_dynamic(&io, Path::new("/data/a")).await.unwrap(), "only the metadata's dir names them");
            });
        }
    }

    /// Kafka's tool says nothing on the disk of a controller that is yet to be added; a node that is alone says so.
    #[test]
    fn a_node_whose_disk_names_nobody_is_not_taken_for_alone() {
        with_disk(|io| async move {
            let dir = Path::new("/meta");
            assert!(!crate::cli::voters_can_change(&io, dir).await.unwrap(), "it is yet to be formatted");
            let meta = MetaProperties { cluster_id: ID.to_owned(), node_id: 1, directory_id: fresh_id(&io) };
            LogDir::format(&io, dir, &meta).await.unwrap();
            assert!(crate::cli::voters_can_change(&io, dir).await.unwrap());
        });
        with_disk(|io| async move {
            let plan = plan(&config("controller.quorum.bootstrap.servers=h:9093\n"), &arguments()).unwrap();
            let dir = plan.metadata_dir.clone();
            format(io.clone(), plan).await.unwrap();
            assert!(!crate::cli::voters_can_change(&io, &dir).await.unwrap());
        });
    }

    #[test]
    fn what_is_formatted_stays_as_it_is() {
        with_disk(|io| async move {
            let id: TopicId = "JEXY6aqzQY-32P5TStzaFg".parse().unwrap();
            let plan = Plan { metadata_dir_id: Some(id), ..planned() };
            let only = Plan { directories: BTreeSet::from([PathBuf::from("/meta")]), ..plan.clone() };
            format(io.clone(), only).await.unwrap();
            let said = format(io.clone(), plan.clone()).await.unwrap_err();
            assert!(said.starts_with("Log directory /meta is already formatted. Use --ignore-formatted"), "{said}");
            assert!(LogDir::read_meta(&io, Path::new("/data/a")).await.unwrap().is_none(), "nothing was done");
            let said = format(io.clone(), Plan { cluster_id: "other".to_owned(), ..plan.clone() }).await.unwrap_err();
            assert!(said.contains("Invalid cluster.id in: /meta/meta.properties. Expected other, but read"), "{said}");
            let said = format(io.clone(), Plan { node_id: 2, ..plan.clone() }).await.unwrap_err();
            assert!(said.contains("belongs to node 1, not to node 2"), "{said}");
            let rest = Plan { ignore_formatted: true, metadata_dir_id: None, ..plan.clone() };
            format(io.clone(), rest.clone()).await.unwrap();
            assert_eq!(LogDir::read_meta(&io, Path::new("/meta")).await.unwrap().unwrap().directory_id, id);
            assert!(LogDir::read_meta(&io, Path::new("/data/a")).await.unwrap().is_some());
            format(io.clone(), rest).await.unwrap();
        });
    }

    #[test]
    fn info_says_what_is_wrong() {
        with_disk(|io| async move {
            let dirs = |names: &[&str]| names.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
            let told = info(&io, &dirs(&["/none"])).await;
            assert!(told.has_problems);
            assert_eq!(told.text, "Found problem:\n  /none does not exist\n\n");
            for (dir, cluster, node) in [("/a", "one", 1), ("/b", "two", 1), ("/c", "one", 2)] {
                let meta = MetaProperties { cluster_id: cluster.to_owned(), node_id: node, directory_id: fresh_id(&io) };
                LogDir::format(&io, Path::new(dir), &meta).await.unwrap();
            }
            io.create_dir_all(Path::new("/d")).await.unwrap();
            io.create_dir_all(Path::new("/e")).await.unwrap();
            io.replace_file(Path::new("/e/meta.properties"), bytes::Bytes::from_static(b"version=7\n")).await.unwrap();
            let told = info(&io, &dirs(&["/a", "/b", "/c", "/d", "/e"])).await;
            let problems = told.text.split("Found problems:\n").nth(1).expect("several problems");
            for part in [
                "Mismatched cluster IDs between storage directories.",
                "Mismatched node IDs between storage directories.",
                "/d is not formatted.",
                "Error loading /e/meta.properties: ",
            ] {
                assert!(problems.contains(part), "{part}: {problems}");
            }
            assert!(told.has_problems && told.text.contains("Found metadata: {cluster.id=one"), "{}", told.text);
        });
    }
}
