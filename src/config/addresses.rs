//! Numbers for addresses: the value of `max.connections.per.ip.overrides`.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Reads `address:number,...`; the number is what follows the last colon. An address in brackets is the same without them, and an
/// IPv4 address that IPv6 maps is that IPv4 address. Kafka takes host names too: nothing here asks a name server while it counts.
///
/// # Errors
/// What is wrong with the first item that is.
pub(super) fn parse_address_counts(text: &str) -> Result<BTreeMap<IpAddr, usize>, String> {
    let mut counts = BTreeMap::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let Some((host, number)) = item.rsplit_once(':') else {
            return Err(format!("{item} is no address with a number, such as 10.0.0.7:100"));
        };
        let host = host.trim();
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let address: IpAddr = bare.parse().map_err(|_| format!("{host} is no IP address; host names are not resolved"))?;
        let number = number.trim().parse::<u32>().ok().filter(|number| *number <= i32::MAX as u32);
        let number = number.ok_or_else(|| format!("{item} does not end with a number of at least 0"))?;
        counts.insert(address.to_canonical(), number as usize);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_their_numbers() {
        let found = parse_address_counts(" 10.0.0.7:100, [::1]:5 ,fe80::1:0,::ffff:10.0.0.8:3,").unwrap();
        let found: Vec<(String, usize)> = found.into_iter().map(|(address, number)| (address.to_string(), number)).collect();
        let expected = [("10.0.0.7", 100), ("10.0.0.8", 3), ("::1", 5), ("fe80::1", 0)];
        assert_eq!(found, expected.map(|(address, number)| (address.to_owned(), number)));
        assert_eq!(parse_address_counts(""), Ok(BTreeMap::new()));
        for (text, part) in [
            ("10.0.0.7", "no address with a number"),
            ("me.example:5", "host names are not resolved"),
            ("10.0.0.7:-1", "at least 0"),
            ("10.0.0.7:3000000000", "at least 0"),
            ("10.0.0.7:many", "at least 0"),
        ] {
            let said = parse_address_counts(text).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
