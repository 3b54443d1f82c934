//! `flumen check`: what of this machine, and of the way to the other voters, is good or bad for a broker.

use super::on_a_core;
use crate::config::{BrokerConfig, QuorumVoter};
use crate::io::{self, Finding, Io, Severity};
use crate::server;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

/// Who does not take a connection in this time is not there.
const PATIENCE: Duration = Duration::from_secs(2);

/// Prints what is found; false if something is bad.
pub(super) fn run(config: BrokerConfig) -> Result<bool, String> {
    let mut findings = io::survey(&server::topology(&config), &config.log_dirs());
    let others: Vec<QuorumVoter> = config.quorum_voters().into_iter().filter(|voter| voter.id != config.node_id()).collect();
    if !others.is_empty() {
        match on_a_core(move |io| look_for(io, others.clone())) {
            Ok(found) => findings.extend(found),
            // What is in the way has been found already.
            Err(error) => tracing::warn!(error, "the other voters are not looked for"),
        }
    }
    for Finding { severity, what, found, advice } in &findings {
        let word = match severity {
            Severity::Good => "good",
            Severity::Poor => "POOR",
            Severity::Bad => "BAD ",
        };
        println!("{word}  {what}: {found}");
        if !advice.is_empty() {
            println!("      {advice}");
        }
    }
    Ok(findings.iter().all(|finding| finding.severity != Severity::Bad))
}

/// Whether each voter can be connected to. One that cannot is no reason not to start: it may start later.
async fn look_for(io: Io, voters: Vec<QuorumVoter>) -> Result<Vec<Finding>, String> {
    let mut findings = vec![];
    for QuorumVoter { id, host, port } in voters {
        let what = format!("voter {id} at {host}:{port}");
        let (severity, found, advice) = match connect(&io, &host, port).await {
            Ok(()) => (Severity::Good, "takes connections".to_owned(), ""),
            Err(Unreachable::Unknown(error)) => {
                (Severity::Poor, error, "its host must have an address here: DNS, /etc/hosts, or controller.quorum.voters")
            }
            Err(Unreachable::Refused(error)) => (
                Severity::Poor,
                error,
                "it is not started, or a firewall is in between; a majority of the voters has to be there",
            ),
        };
        findings.push(Finding { severity, what, found, advice: advice.to_owned() });
    }
    Ok(findings)
}

enum Unreachable {
    Unknown(String),
    Refused(String),
}

async fn connect(io: &Io, host: &str, port: u16) -> Result<(), Unreachable> {
    let addresses = io.resolve(host, port).await.map_err(|error| Unreachable::Unknown(error.to_string()))?;
    let mut why = Unreachable::Unknown("the host name has no address".to_owned());
    for address in addresses {
        match select(pin!(io.connect(address)), pin!(io.sleep(PATIENCE))).await {
            Either::Left((Ok(socket), _)) => {
                socket.shutdown();
                return Ok(());
            }
            Either::Left((Err(error), _)) => why = Unreachable::Refused(format!("{address}: {error}")),
            Either::Right(_) => why = Unreachable::Refused(format!("{address}: no connection within {} s", PATIENCE.as_secs())),
        }
    }
    Err(why)
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;
    use crate::io::sim::{Options, World};
    use crate::model::BrokerId;

    #[test]
    fn each_voter_is_looked_for() {
        let world = World::new(5, Options::default());
        let (there, here) = (world.add_host("there", 1), world.add_host("here", 1));
        world.start(there, |io| async move {
            let listener = io.listen("0.0.0.0:9093".parse().unwrap(), true).unwrap();
            while listener.accept().await.is_ok() {}
        });
        let voter = |id: i32, host: &str, port: u16| QuorumVoter { id: BrokerId(id), host: host.to_owned(), port };
        let voters = vec![voter(2, "there", 9093), voter(3, "there", 9094), voter(4, "nowhere", 9093)];
        let found = world.run(here, move |io| async move {
            io.sleep(Duration::from_millis(100)).await;
            look_for(io, voters).await.unwrap()
        });
        let said: Vec<(Severity, &str)> = found.iter().map(|one| (one.severity, one.what.as_str())).collect();
        let expected = [
            (Severity::Good, "voter 2 at there:9093"),
            (Severity::Poor, "voter 3 at there:9094"),
            (Severity::Poor, "voter 4 at nowhere:9093"),
        ];
        assert_eq!(said, expected);
        assert!(found[1].advice.contains("firewall") && found[2].advice.contains("DNS"), "{found:?}");
    }
}
