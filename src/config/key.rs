//! One configuration key: its type, default and range, how its text is checked, and whether this broker honours it.

use super::addresses::parse_address_counts;
use super::voters::{parse_servers, parse_voters};
use std::collections::BTreeSet;
use std::fmt;

/// Kafka's types of configuration values; the numbers are those of DescribeConfigs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Boolean = 1,
    /// Text.
    String = 2,
    /// 32-bit integer.
    Int = 3,
    /// 16-bit integer.
    Short = 4,
    /// 64-bit integer.
    Long = 5,
    /// Floating point number.
    Double = 6,
    /// Texts separated by commas.
    List = 7,
    /// Name of a Java class.
    Class = 8,
    /// Text that is never shown.
    Password = 9,
}

/// What a value must satisfy beside its type.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rule {
    /// Anything of the type.
    Any,
    /// A number of at least this.
    Min(i64),
    /// A number in this range, both ends included.
    Between(i64, i64),
    /// A fraction in this range, both ends included.
    Ratio(f64, f64),
    /// One of these; of a list, each item, and it has some.
    OneOf(&'static [&'static str]),
    /// Some of these, or none; what comes twice counts once.
    AnyOf(&'static [&'static str]),
    /// Any items, none of them empty or twice.
    Distinct,
    /// One of these in any case.
    OneOfIgnoreCase(&'static [&'static str]),
    /// 1 to 9, or -1 for the library's default.
    GzipLevel,
    /// `partition:broker,...` or `*`.
    ThrottledReplicas,
    /// `address:number,...`, see `addresses`.
    AddressCounts,
    /// `id@host:port,...`, see `voters`.
    Voters,
    /// `host:port,...`, see `voters`.
    Servers,
}

/// What this broker does about a key that is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// What Kafka does.
    Honoured,
    /// Nothing, since there is nothing here that it could mean: a warning with the reason.
    NoEffect(&'static str),
    /// Nothing so far: a warning with the reason.
    NotYet(&'static str),
    /// Refuses to start: going on without it would be unsafe or would pretend.
    Refused(&'static str),
}

/// A configuration key.
#[derive(Clone, Copy, Debug)]
pub struct KeyDef {
    /// As in `server.properties`.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Text of the default; `None` is null.
    pub default: Option<&'static str>,
    /// Range.
    pub rule: Rule,
    /// What this broker does about it.
    pub status: Status,
}

/// A checked value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Boolean.
    Bool(bool),
    /// Int, Short and Long.
    Int(i64),
    /// Double.
    Double(f64),
    /// String, Class and Password, without blanks at the ends.
    Text(String),
    /// List.
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Double(value) => f.write_str(&java_double(*value)),
            Self::Text(value) => f.write_str(value),
            Self::List(items) => f.write_str(&items.join(",")),
        }
    }
}

/// A double as Java prints it: always with a fraction, very large and very small ones with an exponent.
fn java_double(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e7).contains(&value.abs()) {
        let text = format!("{value:E}");
        return if text.contains('.') { text } else { text.replace('E', ".0E") };
    }
    format!("{value:?}")
}

/// A value that a key cannot take; the text is Kafka's, as it is sent with `INVALID_CONFIG`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("Invalid value {value} for configuration {key}{}", reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
pub struct InvalidValue {
    /// The key.
    pub key: String,
    /// What it was set to.
    pub value: String,
    /// What is wrong with it.
    pub reason: Option<String>,
}

impl InvalidValue {
    pub(super) fn new(key: &str, value: &str, reason: impl Into<String>) -> Self {
        Self { key: key.to_owned(), value: value.to_owned(), reason: Some(reason.into()) }
    }
}

impl KeyDef {
    /// Whether the value is a secret.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// The default, checked.
    pub fn default_value(&self) -> Option<Value> {
        self.default.map(|text| self.parse(text).expect("a default satisfies its own key"))
    }

    /// Checks `text` against type and range.
    ///
    /// # Errors
    /// With Kafka's text.
    pub fn parse(&self, text: &str) -> Result<Value, InvalidValue> {
        let trimmed = text.trim();
        let wrong = |reason: String| InvalidValue::new(self.name, text, reason);
        let integer = |min: i64, max: i64, name: &str| match trimmed.strip_prefix('+').unwrap_or(trimmed).parse::<i64>() {
            Ok(value) if (min..=max).contains(&value) => Ok(Value::Int(value)),
            _ => Err(wrong(format!("Not a number of type {name}"))),
        };
        let value = match self.kind {
            Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Value::Bool(true),
            Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Value::Bool(false),
            Kind::Boolean => return Err(wrong("Expected value to be either true or false".to_owned())),
            Kind::Int => integer(i32::MIN.into(), i32::MAX.into(), "INT")?,
            Kind::Short => integer(i16::MIN.into(), i16::MAX.into(), "SHORT")?,
            Kind::Long => integer(i64::MIN, i64::MAX, "LONG")?,
            Kind::Double => Value::Double(trimmed.parse().map_err(|_| wrong("Not a number of type DOUBLE".to_owned()))?),
            Kind::String | Kind::Class | Kind::Password => Value::Text(trimmed.to_owned()),
            Kind::List if trimmed.is_empty() => Value::List(vec![]),
            Kind::List => Value::List(self.items(trimmed)),
        };
        self.check(&value).map_err(|reason| InvalidValue::new(self.name, &value.to_string(), reason))?;
        Ok(value)
    }

    fn items(&self, text: &str) -> Vec<String> {
        let mut items: Vec<String> = vec![];
        for item in text.split(',').map(str::trim) {
            if !matches!(self.rule, Rule::AnyOf(_)) || !items.iter().any(|other| other == item) {
                items.push(item.to_owned());
            }
        }
        items
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        match (self.rule, value) {
            (Rule::Min(min), Value::Int(v)) if *v < min => Err(format!("Value must be at least {min}")),
            (Rule::Between(min, _), Value::Int(v)) if *v < min => Err(format!("Value must be at least {min}")),
            (Rule::Between(_, max), Value::Int(v)) if *v > max => Err(format!("Value must be no more than {max}")),
            (Rule::Ratio(min, _), Value::Double(v)) if v.is_nan() || *v < min => {
                Err(format!("Value must be at least {}", short_double(min)))
            }
            (Rule::Ratio(_, max), Value::Double(v)) if *v > max => {
                Err(format!("Value must be no more than {}", short_double(max)))
            }
            (Rule::OneOf(allowed), Value::Text(v)) if !allowed.contains(&v.as_str()) => {
                Err(format!("String must be one of: {}", allowed.join(", ")))
            }
            (Rule::OneOf(_), Value::List(items)) if items.is_empty() => Err("Configuration must not be empty.".to_owned()),
            (Rule::OneOf(allowed) | Rule::AnyOf(allowed), Value::List(items)) => check_list(items, allowed),
            (Rule::Distinct, Value::List(items)) => check_distinct(items),
            (Rule::OneOfIgnoreCase(allowed), Value::Text(v)) if !allowed.iter().any(|a| a.eq_ignore_ascii_case(v)) => {
                Err(format!("String must be one of (case insensitive): {}", allowed.join(", ")))
            }
            (Rule::GzipLevel, Value::Int(v)) if *v != -1 && !(1..=9).contains(v) => {
                Err("Value must be between 1 and 9 or equal to -1".to_owned())
            }
            (Rule::ThrottledReplicas, Value::List(items)) => check_throttled_replicas(items),
            (Rule::AddressCounts, Value::Text(text)) => parse_address_counts(text).map(drop),
            (Rule::Voters, Value::List(items)) => parse_voters(items).map(drop),
            (Rule::Servers, Value::List(items)) => parse_servers(items).map(drop),
            _ => Ok(()),
        }
    }
}

fn short_double(value: f64) -> String {
    format!("{value}")
}

fn check_distinct(items: &[String]) -> Result<(), String> {
    if items.iter().any(String::is_empty) {
        return Err("Configuration values must not be empty.".to_owned());
    }
    let mut seen = BTreeSet::new();
    if !items.iter().all(|item| seen.insert(item)) {
        return Err("Configuration values must not be duplicated.".to_owned());
    }
    Ok(())
}

fn check_list(items: &[String], allowed: &[&str]) -> Result<(), String> {
    check_distinct(items)?;
    match items.iter().all(|item| allowed.contains(&item.as_str())) {
        true => Ok(()),
        false => Err(format!("String must be one of: {}", allowed.join(", "))),
    }
}

fn check_throttled_replicas(items: &[String]) -> Result<(), String> {
    let pair = |item: &String| {
        let (partition, broker) = item.split_once(':')?;
        Some((partition.parse::<u32>().ok()?, broker.parse::<u32>().ok()?))
    };
    let all = items.len() == 1 && (items[0] == "*" || items[0] == "none");
    if all || items.iter().all(|item| pair(item).is_some()) {
        return Ok(());
    }
    Err("must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
        .to_owned())
}
