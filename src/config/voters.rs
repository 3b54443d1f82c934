//! Who decides on the metadata, and where a node finds them: `controller.quorum.voters` and `controller.quorum.bootstrap.servers`.

use crate::model::BrokerId;

/// What a node of a cluster does (`process.roles`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessRoles {
    /// It has partitions and serves clients.
    pub broker: bool,
    /// It may lead the quorum of the metadata.
    pub controller: bool,
}

/// A voter of the quorum: one item of `controller.quorum.voters`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuorumVoter {
    /// Its `node.id`.
    pub id: BrokerId,
    /// Host of its controller listener, an IPv6 address without brackets.
    pub host: String,
    /// Port of that.
    pub port: u16,
}

/// Reads `id@host:port,...`. Every id is there once, and everybody can be connected to.
///
/// # Errors
/// What is wrong with the first item that is.
pub(super) fn parse_voters(items: &[String]) -> Result<Vec<QuorumVoter>, String> {
    let mut voters: Vec<QuorumVoter> = vec![];
    for item in items {
        let form = || format!("{item:?} is no voter: the form is id@host:port");
        let (id, address) = item.split_once('@').filter(|(_, rest)| !rest.contains('@')).ok_or_else(form)?;
        let number = id.parse::<i32>().ok().filter(|id| *id >= 0);
        let id = number.ok_or_else(|| format!("{item:?}: the id of a voter is a number from 0 on, not {id:?}"))?;
        let (host, port) = parse_endpoint(address).ok_or_else(form)?;
        if matches!(host.as_str(), "" | "0.0.0.0" | "::") {
            return Err(format!("{item:?}: nobody can connect to this host"));
        }
        if voters.iter().any(|other| other.id.0 == id) {
            return Err(format!("{item:?}: the voter {id} is named twice"));
        }
        voters.push(QuorumVoter { id: BrokerId(id), host, port });
    }
    Ok(voters)
}

/// Reads `host:port,...`: addresses of controllers or brokers.
///
/// # Errors
/// What is wrong with the first item that is.
pub fn parse_servers(items: &[String]) -> Result<Vec<(String, u16)>, String> {
    let parse = |item: &String| {
        let server = parse_endpoint(item).filter(|(host, _)| !host.is_empty());
        server.ok_or_else(|| format!("{item:?} is no address: the form is host:port"))
    };
    items.iter().map(parse).collect()
}

/// `host:port`, an IPv6 address in brackets; a protocol before it (`PLAINTEXT://`) says nothing here, as in Kafka.
fn parse_endpoint(text: &str) -> Option<(String, u16)> {
    let address = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.split('%').next()?.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest.strip_prefix(':')?)
        }
        None => address.rsplit_once(':').filter(|(host, _)| !host.contains(':'))?,
    };
    let is_plain = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '%' | ':'));
    let port = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))?;
    let port = port.parse::<u16>().ok().filter(|port| *port > 0)?;
    is_plain.then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Vec<String> {
        text.split(',').map(|item| item.trim().to_owned()).collect()
    }

    fn voters(text: &str) -> Result<Vec<(i32, String, u16)>, String> {
        Ok(parse_voters(&items(text))?.into_iter().map(|voter| (voter.id.0, voter.host, voter.port)).collect())
    }

    #[test]
    fn forms_of_a_voter() {
        let found = voters("1@127.0.0.1:9092, 2@host-2.example_x:1,30@[::1]:65535,4@PLAINTEXT://h:9093").unwrap();
        let expected = [(1, "127.0.0.1", 9092), (2, "host-2.example_x", 1), (30, "::1", 65535), (4, "h", 9093)];
        assert_eq!(found, expected.map(|(id, host, port)| (id, host.to_owned(), port)));
        assert_eq!(parse_voters(&[]), Ok(vec![]), "no list is an empty list");
    }

    #[test]
    fn what_is_no_voter() {
        for (text, part) in [
            ("", "id@host:port"),
            ("1", "id@host:port"),
            ("1@", "id@host:port"),
            ("1@host", "id@host:port"),
            ("1@host:", "id@host:port"),
            ("1@host:port", "id@host:port"),
            ("1@host:+5", "id@host:port"),
            ("1@host:0", "id@host:port"),
            ("1@host:70000", "id@host:port"),
            ("1@ho st:5", "id@host:port"),
            ("1@::1:5", "id@host:port"),
            ("1@[zz]:5", "id@host:port"),
            ("1@a@b:5", "id@host:port"),
            ("1:127.0.0.1:9092", "id@host:port"),
            ("blah@127.0.0.1:9092", "number"),
            ("-1@127.0.0.1:9092", "number"),
            ("3000000000@127.0.0.1:9092", "number"),
            ("1@0.0.0.0:9092", "nobody can connect"),
            ("1@[::]:9092", "nobody can connect"),
            ("1@:9092", "nobody can connect"),
            ("1@a:1,2@b:1,1@c:1", "named twice"),
        ] {
            let said = voters(text).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
    }

    #[test]
    fn forms_of_an_address() {
        let expected = vec![("kafka1".to_owned(), 9092), ("::1".to_owned(), 9093)];
        assert_eq!(parse_servers(&items("kafka1:9092,[::1]:9093")), Ok(expected));
        for text in ["", "kafka1", "kafka1:", ":9092", "kafka1:9092:8080", "ka fka:1", "1@kafka1:9092"] {
            assert!(parse_servers(&items(text)).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(items: Vec<String>) {
            let _ = parse_voters(&items);
            let _ = parse_servers(&items);
        }

        #[test]
        fn what_is_written_is_read(ids: std::collections::BTreeSet<u16>, port in 1_u16..) {
            let items: Vec<String> = ids.iter().map(|id| format!("{id}@host-{id}:{port}")).collect();
            let read = parse_voters(&items).unwrap();
            let back: Vec<String> = read.iter().map(|v| format!("{}@{}:{}", v.id.0, v.host, v.port)).collect();
            proptest::prop_assert_eq!(back, items);
        }
    }
}
