//! Kafka's message schemas as the generator sees them: JSON with comments, read into structs, fields and version ranges.

use serde_json::Value;
use std::path::Path;

/// A closed range of versions; empty when `low > high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub low: i16,
    pub high: i16,
}

impl Versions {
    pub const NONE: Self = Self { low: 0, high: -1 };

    /// Reads `none`, `3`, `3+` or `3-5`.
    fn parse(text: &str) -> Self {
        let number = |t: &str| t.parse().unwrap_or_else(|_| panic!("version {t} in {text}"));
        if text == "none" || text.is_empty() {
            Self::NONE
        } else if let Some(low) = text.strip_suffix('+') {
            Self { low: number(low), high: i16::MAX }
        } else if let Some((low, high)) = text.split_once('-') {
            Self { low: number(low), high: number(high) }
        } else {
            Self { low: number(text), high: number(text) }
        }
    }

    pub fn is_empty(self) -> bool {
        self.low > self.high
    }

    pub fn contains(self, version: i16) -> bool {
        (self.low..=self.high).contains(&version)
    }

    pub fn and(self, other: Self) -> Self {
        Self { low: self.low.max(other.low), high: self.high.min(other.high) }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Bool,
    I8,
    I16,
    U16,
    I32,
    U32,
    I64,
    F64,
    Uuid,
    Str,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    fn parse(text: &str) -> Self {
        if let Some(element) = text.strip_prefix("[]") {
            return Self::Array(Box::new(Self::parse(element)));
        }
        match text {
            "bool" => Self::Bool,
            "int8" => Self::I8,
            "int16" => Self::I16,
            "uint16" => Self::U16,
            "int32" => Self::I32,
            "uint32" => Self::U32,
            "int64" => Self::I64,
            "float64" => Self::F64,
            "uuid" => Self::Uuid,
            "string" => Self::Str,
            "bytes" => Self::Bytes,
            "records" => Self::Records,
            name if name.starts_with(|c: char| c.is_ascii_uppercase()) => Self::Struct(name.to_owned()),
            other => panic!("type {other} is new"),
        }
    }

    pub fn is_array(&self) -> bool {
        matches!(self, Self::Array(_))
    }
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub ty: Type,
    pub versions: Versions,
    pub nullable: Versions,
    /// Its tag, and the versions in which it is one.
    pub tag: Option<(u32, Versions)>,
    /// As the schema spells it; `null` for null, empty for none.
    pub default: String,
    /// May be dropped when a version lacks it.
    pub ignorable: bool,
    /// Keeps the old encoding in flexible versions too (the client id of the request header).
    pub never_flexible: bool,
}

impl Field {
    pub fn is_nullable(&self) -> bool {
        !self.nullable.is_empty()
    }

    pub fn is_tagged_in(&self, version: i16) -> bool {
        self.tag.is_some_and(|(_, versions)| versions.contains(version))
    }
}

/// A struct and the versions in which the message uses it.
#[derive(Clone, Debug)]
pub struct Struct {
    pub name: String,
    pub versions: Versions,
    pub fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    Response,
    Header,
    Metadata,
    CoordinatorKey,
    CoordinatorValue,
    Data,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub name: String,
    pub kind: Kind,
    pub api_key: Option<i16>,
    pub versions: Versions,
    pub flexible: Versions,
    pub latest_version_unstable: bool,
    pub listeners: Vec<String>,
    /// The message itself first, then what it contains.
    pub structs: Vec<Struct>,
}

impl Message {
    pub fn parse(text: &str) -> Self {
        let json: Value = serde_json::from_str(&without_comments(text)).expect("a schema is JSON once its comments are gone");
        let kind = match string(&json, "type") {
            "request" => Kind::Request,
            "response" => Kind::Response,
            "header" => Kind::Header,
            "metadata" => Kind::Metadata,
            "coordinator-key" => Kind::CoordinatorKey,
            "coordinator-value" => Kind::CoordinatorValue,
            "data" => Kind::Data,
            other => panic!("message type {other} is new"),
        };
        let versions = Versions::parse(string(&json, "validVersions"));
        let mut message = Self {
            name: string(&json, "name").to_owned(),
            kind,
            api_key: json["apiKey"].as_i64().map(|key| key as i16),
            versions,
            flexible: Versions::parse(json["flexibleVersions"].as_str().unwrap_or("none")),
            latest_version_unstable: json["latestVersionUnstable"].as_bool().unwrap_or(false),
            listeners: array(&json["listeners"]).iter().filter_map(|l| l.as_str().map(str::to_owned)).collect(),
            structs: Vec::new(),
        };
        if versions.is_empty() {
            return message;
        }
        let (name, fields) = (message.name.clone(), &json["fields"]);
        message.add_struct(name, versions, fields);
        for common in array(&json["commonStructs"]) {
            let declared = Versions::parse(string(common, "versions"));
            message.add_struct(string(common, "name").to_owned(), versions.and(declared), &common["fields"]);
        }
        message
    }

    fn add_struct(&mut self, name: String, versions: Versions, fields: &Value) {
        assert!(self.structs.iter().all(|s| s.name != name), "{name} twice in {}", self.name);
        let place = self.structs.len();
        self.structs.push(Struct { name, versions, fields: Vec::new() });
        for json in array(fields) {
            let field = parse_field(json, versions);
            if field.versions.and(versions).is_empty() {
                continue; // of versions that Kafka no longer knows
            }
            let mut element = &field.ty;
            while let Type::Array(inner) = element {
                element = inner;
            }
            if let (Type::Struct(name), true) = (element, json["fields"].is_array()) {
                self.add_struct(name.clone(), versions.and(field.versions), &json["fields"]);
            }
            self.structs[place].fields.push(field);
        }
    }

    pub fn find(&self, name: &str) -> &Struct {
        self.structs.iter().find(|s| s.name == name).unwrap_or_else(|| panic!("{name} is not in {}", self.name))
    }

    /// Least size on the wire, in bytes, of an element of an array of `ty` in `version`.
    pub fn least_size(&self, ty: &Type, version: i16) -> usize {
        let flexible = self.flexible.contains(version);
        match ty {
            Type::Bool | Type::I8 => 1,
            Type::I16 | Type::U16 => 2,
            Type::I32 | Type::U32 => 4,
            Type::I64 | Type::F64 => 8,
            Type::Uuid => 16,
            Type::Str | Type::Bytes | Type::Records | Type::Array(_) if flexible => 1,
            Type::Str => 2,
            Type::Bytes | Type::Records | Type::Array(_) => 4,
            Type::Struct(name) => {
                let present = |f: &&Field| f.versions.contains(version) && !f.is_tagged_in(version);
                let size = |f: &Field| match f.ty {
                    Type::Struct(_) if f.nullable.contains(version) => 1,
                    _ => self.least_size(&f.ty, version),
                };
                self.find(name).fields.iter().filter(present).map(size).sum::<usize>() + usize::from(flexible)
            }
        }
    }
}

fn parse_field(json: &Value, outer: Versions) -> Field {
    let versions = |key: &str| json[key].as_str().map(Versions::parse);
    let tagged = versions("taggedVersions").unwrap_or(Versions::NONE);
    let own = versions("versions").unwrap_or(tagged);
    let tag = json["tag"].as_u64().map(|tag| (tag as u32, tagged.and(own)));
    let default = match &json["default"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Field {
        name: string(json, "name").to_owned(),
        ty: Type::parse(string(json, "type")),
        versions: own,
        nullable: versions("nullableVersions").unwrap_or(Versions::NONE).and(own).and(outer),
        tag,
        default,
        ignorable: json["ignorable"].as_bool().unwrap_or(false),
        never_flexible: json["flexibleVersions"].as_str() == Some("none"),
    }
}

fn string<'a>(json: &'a Value, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_else(|| panic!("a string {key} in {json}"))
}

fn array(json: &Value) -> &[Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}

/// Blanks out `//` to the end of the line, outside of strings.
fn without_comments(text: &str) -> String {
    let strip = |line: &str| {
        let (mut in_string, mut escaped, mut before) = (false, false, '\0');
        for (at, c) in line.char_indices() {
            match c {
                '"' if !escaped => in_string = !in_string,
                '/' if before == '/' && !in_string => return line[..at - 1].to_owned(),
                _ => {}
            }
            escaped = in_string && c == '\\' && !escaped;
            before = c;
        }
        line.to_owned()
    };
    text.lines().map(strip).collect::<Vec<_>>().join("\n")
}

/// What the broker has no use for: the RPCs of Kafka's own Raft (openraft speaks here), and tiered storage's records.
const LEFT_OUT: &[&str] = &["VoteRe", "BeginQuorumEpoch", "EndQuorumEpoch", "QuorumStateData", "RemoteLog", "RemotePartition"];

/// Every schema below `directory` that exists in some version and is not [`LEFT_OUT`], by name.
pub fn load(directory: &Path) -> Vec<Message> {
    let is_schema = |path: &Path| path.extension().is_some_and(|e| e == "json");
    let files = walkdir::WalkDir::new(directory).into_iter().map(|entry| entry.expect("a readable directory"));
    let texts = files.filter(|f| is_schema(f.path())).map(|f| std::fs::read_to_string(f.path()).expect("a readable schema"));
    let mut messages: Vec<Message> = texts.map(|text| Message::parse(&text)).collect();
    messages.retain(|m| !m.versions.is_empty() && !LEFT_OUT.iter().any(|name| m.name.starts_with(name)));
    messages.sort_by(|a, b| a.name.cmp(&b.name));
    messages
}
