//! `flumen storage`: log dirs are prepared for a node of a cluster, and looked at, as Apache Kafka's `kafka-storage` does it.
//!
//! **What a formatted node has**: in every log dir `meta.properties` (which cluster, which node, and the dir's own id) and
//! `bootstrap.checkpoint` (the records that a new cluster begins with), the latter first, since with the former a dir counts as formatted.
//! That is all that a voter needs: the first leader of a quorum whose metadata are empty commits the records of its
//! `bootstrap.checkpoint`, once for the cluster, and so it does not matter who is elected first if all were formatted alike.
//!
//! **The voters** are those of `controller.quorum.voters` (`kraft.version` 0), or, where the settings name none, those that can change while
//! the quorum runs (`kraft.version` 1, KIP-853): with `--standalone` this node is the first one, with `--initial-controllers` they are named,
//! both in a checkpoint of the metadata dir; with `--no-initial-controllers` this node is one that is yet to be added.

#[cfg(test)]
mod tests;

use super::{on_a_core, read, release};
use crate::config::{BrokerConfig, DynamicConfigs, TopicConfig};
use crate::controller::{ELR_VERSION, KRAFT_VERSION, METADATA_VERSION};
use crate::io::Io;
use crate::log::{LogDir, MetaProperties};
use crate::model::{BrokerId, TopicId};
use crate::quorum::{self, Member, MemberEndpoint};
use clap::{Args, Subcommand};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const VOTERS: &str = "controller.quorum.voters";
/// Features of Kafka 4.2 that this broker does not serve: their level is 0.
const UNSERVED: &[&str] = &["group.version", "share.version", "streams.version", "transaction.version"];

/// 4.1-IV0: clusters that begin with it or a later level keep eligible leader replicas, as Kafka's do.
const ELR_BY_ITSELF: i16 = 26;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Formats the log dirs of this node.
    Format(FormatArguments),
    /// Tells of the log dirs of this node; fails if something is wrong with them.
    Info(InfoArguments),
    /// Prints a random id, for --cluster-id.
    RandomUuid,
}

#[derive(Args, Clone, Default)]
pub(super) struct FormatArguments {
    /// Kafka's server.properties of the node.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// The id of the cluster, the same on all of its nodes; `flumen storage random-uuid` makes one.
    #[arg(short = 't', long, value_name = "ID")]
    cluster_id: String,
    /// This controller is the only voter of its quorum.
    #[arg(short, long, conflicts_with_all = ["no_initial_controllers", "initial_controllers"])]
    standalone: bool,
    /// This node is not among the first voters: a broker, or a controller that is yet to be added.
    #[arg(short = 'N', long, conflicts_with = "initial_controllers")]
    no_initial_controllers: bool,
    /// The first voters, each as id@host:port:directory id, the same on all of them.
    #[arg(short = 'I', long, value_name = "VOTERS")]
    initial_controllers: Option<String>,
    /// Skips log dirs that are formatted already, instead of failing.
    #[arg(short = 'g', long)]
    ignore_formatted: bool,
    /// The release of Kafka whose features the cluster begins with, such as 4.2 or 4.0-IV1; default is the newest.
    #[arg(short, long, value_name = "VERSION")]
    release_version: Option<String>,
    /// The level of a feature that the cluster begins with; may be repeated.
    #[arg(short, long = "feature", value_name = "FEATURE=LEVEL")]
    features: Vec<String>,
}

#[derive(Args)]
pub(super) struct InfoArguments {
    /// Kafka's server.properties of the node.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command; false if it has said what is wrong.
pub(super) fn run(command: Command) -> Result<bool, String> {
    match command {
        Command::Format(arguments) => {
            let plan = plan(&load(&arguments.config)?, &arguments)?;
            on_a_core(move |io| format(io, plan.clone())).map(|()| true)
        }
        Command::Info(arguments) => {
            let dirs = directories(&load(&arguments.config)?);
            let told = on_a_core(move |io| {
                let dirs = dirs.clone();
                async move { Ok(info(&io, &dirs).await) }
            })?;
            print!("{}", told.text);
            Ok(!told.has_problems)
        }
        Command::RandomUuid => {
            println!("{}", on_a_core(|io| async move { Ok(fresh_id(&io)) })?);
            Ok(true)
        }
    }
}

/// The settings of the node, which need not be one that can be run.
fn load(path: &Path) -> Result<BrokerConfig, String> {
    BrokerConfig::load(Some(&read(path)?), &[]).map(|(config, _)| config).map_err(|error| error.to_string())
}

/// The log dirs and that of the metadata, by name.
fn directories(config: &BrokerConfig) -> BTreeSet<PathBuf> {
    config.log_dirs().into_iter().chain([config.metadata_log_dir()]).collect()
}

/// What is to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Plan {
    cluster_id: String,
    node_id: i32,
    directories: BTreeSet<PathBuf>,
    metadata_dir: PathBuf,
    /// The id of the metadata's dir, if it was given.
    metadata_dir_id: Option<TopicId>,
    metadata_version: i16,
    /// `min.insync.replicas`, if the cluster keeps eligible leader replicas.
    eligible: Option<usize>,
    ignore_formatted: bool,
    voters: Voting,
}

/// Who votes on the metadata of a node that is formatted.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Voting {
    /// The settings say it, or this node is no controller, or it is alone.
    Settings,
    /// This node is alone, although its settings name a server.
    Alone,
    /// This node is the first voter (`--standalone`), where it listens.
    Standalone(Vec<MemberEndpoint>),
    /// These are (`--initial-controllers`).
    Initial(Vec<(BrokerId, Member)>),
    /// This controller is yet to be added (`--no-initial-controllers`).
    Joining,
}

/// What topics inherit.
fn of_topics(config: &BrokerConfig) -> TopicConfig {
    TopicConfig::resolve(config, &DynamicConfigs::default(), &BTreeMap::new())
}

/// Judges the arguments by the settings of the node.
fn plan(config: &BrokerConfig, arguments: &FormatArguments) -> Result<Plan, String> {
    let cluster_id = arguments.cluster_id.trim().to_owned();
    if cluster_id.is_empty() || cluster_id.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("the cluster id must be a word, such as `flumen storage random-uuid` prints".to_owned());
    }
    let voters = judge_voters(config, arguments)?;
    let own = config.node_id();
    let metadata_dir_id = match &voters {
        Voting::Initial(all) => all.iter().find(|(id, _)| *id == own).map(|(_, member)| member.directory),
        _ => None,
    };
    let is_dynamic = !matches!(voters, Voting::Settings | Voting::Alone);
    let metadata_version = metadata_version(arguments.release_version.as_deref(), &arguments.features, is_dynamic)?;
    let keeps_eligible = keeps_eligible(metadata_version, &arguments.features)?;
    Ok(Plan {
        cluster_id,
        node_id: config.node_id().0,
        directories: directories(config),
        metadata_dir: config.metadata_log_dir(),
        metadata_dir_id,
        metadata_version,
        eligible: keeps_eligible.then(|| of_topics(config).min_insync_replicas),
        ignore_formatted: arguments.ignore_formatted,
        voters,
    })
}

/// Whether the options that name voters go with the settings, and who the voters are.
fn judge_voters(config: &BrokerConfig, arguments: &FormatArguments) -> Result<Voting, String> {
    let is_controller = config.process_roles().controller;
    let has_voters = !config.quorum_voters().is_empty();
    if has_voters && (arguments.standalone || arguments.initial_controllers.is_some()) {
        return Err(format!(
            "{VOTERS} is set, so neither --standalone nor --initial-controllers can be: the voters of this quorum are those of the settings"
        ));
    }
    if arguments.standalone && !is_controller {
        return Err("--standalone is for controllers only".to_owned());
    }
    if let Some(text) = &arguments.initial_controllers {
        if !is_controller {
            return Err("--initial-controllers is for controllers only".to_owned());
        }
        let listener = listeners(config)?.swap_remove(0).listener;
        let voters = parse_initial_controllers(text, &listener)?;
        return match voters.iter().any(|(id, _)| *id == config.node_id()) {
            true => Ok(Voting::Initial(voters)),
            false => Err(format!("--initial-controllers does not name this node, {}", config.node_id())),
        };
    }
    if arguments.standalone {
        return match listeners(config) {
            // Nobody can ever be added to it.
            Err(_) if config.is_alone() => Ok(alone(config)),
            listeners => listeners.map(Voting::Standalone),
        };
    }
    if is_controller && !has_voters && arguments.no_initial_controllers {
        return listeners(config).map(|_| Voting::Joining);
    }
    // A node that is alone is its own quorum, whether it is formatted or formats itself.
    if is_controller && !has_voters && !config.is_alone() {
        return Err(format!(
            "Because {VOTERS} is not set on this controller, you must specify one of the following: --standalone, \
             --initial-controllers, or --no-initial-controllers."
        ));
    }
    Ok(if is_controller && !has_voters { alone(config) } else { Voting::Settings })
}

/// A node that is alone needs to say so only where somebody else could be meant.
fn alone(config: &BrokerConfig) -> Voting {
    if config.quorum_bootstrap_servers().is_empty() { Voting::Settings } else { Voting::Alone }
}

/// Where other controllers reach this one.
fn listeners(config: &BrokerConfig) -> Result<Vec<MemberEndpoint>, String> {
    let all = config.advertised_controller_listeners("localhost", |_| None).into_iter();
    let all: Vec<_> =
        all.map(|listener| MemberEndpoint { listener: listener.name, host: listener.host, port: listener.port }).collect();
    match all.is_empty() {
        true => Err("controller.listener.names names no listener of this controller, by which others would reach it".to_owned()),
        false => Ok(all),
    }
}

/// Reads `id@host:port:directory,...` (KIP-853). All of them listen there under the same name.
fn parse_initial_controllers(text: &str, listener: &str) -> Result<Vec<(BrokerId, Member)>, String> {
    let mut voters = BTreeMap::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let wrong = |what: &str| format!("{item:?} in --initial-controllers: {what}; the form is id@host:port:directory id");
        let (id, rest) = item.split_once('@').ok_or_else(|| wrong("there is no @"))?;
        let id = id.parse::<i32>().ok().filter(|id| *id >= 0).ok_or_else(|| wrong("the node id is no number from 0 on"))?;
        let (address, directory) = rest.rsplit_once(':').ok_or_else(|| wrong("there is no directory id"))?;
        let (host, port) = address.rsplit_once(':').ok_or_else(|| wrong("there is no port"))?;
        if host.is_empty() || (host.contains(':') && !(host.starts_with('[') && host.ends_with(']'))) {
            return Err(wrong("there is no host, or an IPv6 address without brackets"));
        }
        let port = port.parse::<u16>().map_err(|_| wrong("the port is no number up to 65535"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let directory = directory.parse::<TopicId>().map_err(|_| wrong("the directory id is no id"))?;
        let member = Member::new(directory, vec![MemberEndpoint { listener: listener.to_owned(), host, port }]);
        if voters.insert(BrokerId(id), member).is_some() {
            return Err(wrong("this node is named twice"));
        }
    }
    if voters.is_empty() {
        return Err("--initial-controllers names nobody".to_owned());
    }
    Ok(voters.into_iter().collect())
}

/// The level of `metadata.version` that the options ask for. Other features can only be left at what this broker serves.
fn metadata_version(release_version: Option<&str>, features: &[String], is_dynamic: bool) -> Result<i16, String> {
    let mut levels = BTreeMap::new();
    for feature in features {
        let wrong = || format!("--feature {feature}: expected FEATURE=LEVEL");
        let (name, level) = feature.split_once('=').ok_or_else(wrong)?;
        let level: i16 = level.trim().parse().map_err(|_| wrong())?;
        if levels.insert(name.trim(), level).is_some_and(|before| before != level) {
            return Err(format!("--feature {}: is said twice", name.trim()));
        }
    }
    for (name, level) in levels.iter().filter(|(name, _)| **name != METADATA_VERSION) {
        let is_known = *name == KRAFT_VERSION || UNSERVED.contains(name);
        match (is_known, level) {
            _ if *name == ELR_VERSION && (0..=1).contains(level) => {}
            (true, level) if *name == KRAFT_VERSION && *level == i16::from(is_dynamic) => {}
            (true, 0 | 1) if *name == KRAFT_VERSION => {
                let flags = "one of the flags --standalone, --initial-controllers, or --no-initial-controllers is used";
                let when = if is_dynamic { "if" } else { "unless" };
                return Err(format!("Cannot set {KRAFT_VERSION} to {level} {when} {flags}."));
            }
            (true, 0) => {}
            (true, _) => return Err(format!("Feature {name} is not served at level {level} yet: only level 0 is")),
            (false, _) => {
                return Err(format!(
                    "Unsupported feature: {name}. Supported features are: {ELR_VERSION}, {KRAFT_VERSION}, {METADATA_VERSION}"
                ));
            }
        }
    }
    match (levels.get(METADATA_VERSION), release_version) {
        (Some(_), Some(_)) => {
            Err(format!("Use --release-version or --feature {METADATA_VERSION}=X, not both: they say the same"))
        }
        (Some(level), None) => release::supported(*level),
        (None, Some(version)) => release::parse(version),
        (None, None) => Ok(release::latest()),
    }
}

/// Whether the cluster keeps eligible leader replicas: if that is asked for, or the release does so by itself.
fn keeps_eligible(metadata_version: i16, features: &[String]) -> Result<bool, String> {
    let asked = features.iter().filter_map(|feature| feature.split_once('=')).find(|(name, _)| name.trim() == ELR_VERSION);
    match asked.map(|(_, level)| level.trim() == "1") {
        Some(true) if metadata_version < ELR_BY_ITSELF => Err(format!(
            "{ELR_VERSION} could not be set to 1 because it depends on {METADATA_VERSION} {}",
            release::name(ELR_BY_ITSELF)
        )),
        Some(asked) => Ok(asked),
        None => Ok(metadata_version >= ELR_BY_ITSELF),
    }
}

/// Formats what is not formatted; says what it does.
async fn format(io: Io, plan: Plan) -> Result<(), String> {
    let mut formatted: BTreeMap<&Path, MetaProperties> = BTreeMap::new();
    let (mut empty, mut failed) = (vec![], 0);
    for dir in &plan.directories {
        match LogDir::read_meta(&io, dir).await {
            Ok(Some(meta)) => drop(formatted.insert(dir, meta)),
            Ok(None) => empty.push(dir.as_path()),
            Err(error) => {
                println!("Cannot read log directory {}: {error}. Ignoring it.", dir.display());
                failed += 1;
            }
        }
    }
    for (dir, meta) in &formatted {
        belongs_here(dir, meta, &plan)?;
    }
    if let Some(dir) = formatted.keys().next().filter(|_| !plan.ignore_formatted) {
        return Err(format!(
            "Log directory {} is already formatted. Use --ignore-formatted to ignore this directory and format the others.",
            dir.display()
        ));
    }
    if empty.is_empty() {
        if failed == plan.directories.len() {
            return Err("No available log directories to format.".to_owned());
        }
        println!("All of the log directories are already formatted.");
    }
    for dir in empty {
        let is_of_metadata = dir == plan.metadata_dir;
        let (kind, version) = (if is_of_metadata { "metadata" } else { "data" }, release::name(plan.metadata_version));
        println!("Formatting {kind} directory {} with {METADATA_VERSION} {version}.", dir.display());
        let directory_id = plan.metadata_dir_id.filter(|_| is_of_metadata).unwrap_or_else(|| fresh_id(&io));
        let meta = MetaProperties { cluster_id: plan.cluster_id.clone(), node_id: plan.node_id, directory_id };
        let failed = |what: &dyn std::fmt::Display| format!("cannot format {}: {what}", dir.display());
        io.create_dir_all(dir).await.map_err(|error| failed(&error))?;
        quorum::write_bootstrap(&io, dir, plan.metadata_version, plan.eligible).await.map_err(|error| failed(&error))?;
        if is_of_metadata {
            name_voters(&io, dir, &plan, directory_id).await.map_err(|error| failed(&error))?;
        }
        LogDir::format(&io, dir, &meta).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Writes into the metadata's dir who votes, where the voters can change.
async fn name_voters(io: &Io, dir: &Path, plan: &Plan, directory_id: TopicId) -> Result<(), quorum::QuorumError> {
    let voters = match &plan.voters {
        Voting::Settings => return Ok(()),
        Voting::Alone => return quorum::write_alone(io, dir, BrokerId(plan.node_id)).await,
        Voting::Joining => return quorum::write_joining(io, dir).await,
        Voting::Standalone(listeners) => vec![(BrokerId(plan.node_id), Member::new(directory_id, listeners.clone()))],
        Voting::Initial(voters) => voters.clone(),
    };
    quorum::write_voters(io, dir, voters).await
}

/// A dir that is formatted is this node's, in this cluster.
fn belongs_here(dir: &Path, meta: &MetaProperties, plan: &Plan) -> Result<(), String> {
    let file = dir.join("meta.properties");
    if meta.cluster_id != plan.cluster_id {
        let (expected, found) = (&plan.cluster_id, &meta.cluster_id);
        return Err(format!("Invalid cluster.id in: {}. Expected {expected}, but read {found}", file.display()));
    }
    if meta.node_id != plan.node_id {
        let (expected, found) = (plan.node_id, meta.node_id);
        return Err(format!("{} belongs to node {found}, not to node {expected}: another node's data lie there", file.display()));
    }
    Ok(())
}

/// What `info` says.
struct Told {
    text: String,
    has_problems: bool,
}

/// Looks at log dirs, in the words of Kafka's tool.
async fn info(io: &Io, dirs: &BTreeSet<PathBuf>) -> Told {
    let (mut found, mut problems, mut first) = (vec![], vec![], None::<MetaProperties>);
    for dir in dirs {
        let shown = dir.display();
        if let Err(error) = io.read_dir(dir).await {
            problems.push(match error.kind() {
                ErrorKind::NotFound => format!("{shown} does not exist"),
                ErrorKind::NotADirectory => format!("{shown} is not a directory"),
                _ => format!("{shown} cannot be read: {error}"),
            });
            continue;
        }
        found.push(shown.to_string());
        match (LogDir::read_meta(io, dir).await, &first) {
            (Ok(None), _) => problems.push(format!("{shown} is not formatted.")),
            (Ok(Some(meta)), None) => first = Some(meta),
            (Ok(Some(meta)), Some(first)) if meta.cluster_id != first.cluster_id => {
                problems.push("Mismatched cluster IDs between storage directories.".to_owned());
            }
            (Ok(Some(meta)), Some(first)) if meta.node_id != first.node_id => {
                problems.push("Mismatched node IDs between storage directories.".to_owned());
            }
            (Ok(Some(_)), Some(_)) => {}
            (Err(error), _) => problems.push(format!("Error loading {}: {error}", dir.join("meta.properties").display())),
        }
    }
    let mut text = section("Found log directory:", "Found log directories:", &found);
    if let Some(MetaProperties { cluster_id, node_id, directory_id }) = first {
        let shown = format!("{{cluster.id={cluster_id}, directory.id={directory_id}, node.id={node_id}, version=1}}");
        text.push_str(&format!("Found metadata: {shown}\n\n"));
    }
    text.push_str(&section("Found problem:", "Found problems:", &problems));
    Told { text, has_problems: !problems.is_empty() }
}

/// A headline and what is under it, if anything is.
fn section(one: &str, many: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let indented: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("{}\n{indented}\n", if lines.len() == 1 { one } else { many })
}

/// A random id in Kafka's form.
fn fresh_id(io: &Io) -> TopicId {
    loop {
        if let Some(id) = TopicId::from_random(io.random()) {
            return id;
        }
    }
}
