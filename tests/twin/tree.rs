//! Messages as trees of named values, read and written by Kafka's schemas: a codec that shares no code with the broker's.

use super::schema::{Field, Message, Type};
use super::wire::{length, uvarint};

#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum Tree {
    Null,
    /// Numbers of any width, and booleans.
    Number(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Uuid([u8; 16]),
    List(Vec<Tree>),
    Struct(Vec<(String, Tree)>),
}

impl Tree {
    pub fn text(text: &str) -> Tree {
        Tree::Text(text.to_owned())
    }

    /// A struct out of its fields; those that are not named get their defaults.
    pub fn of(fields: &[(&str, Tree)]) -> Tree {
        Tree::Struct(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    pub fn list(items: impl IntoIterator<Item = Tree>) -> Tree {
        Tree::List(items.into_iter().collect())
    }

    pub fn field(&self, name: &str) -> Option<&Tree> {
        match self {
            Tree::Struct(fields) => fields.iter().find(|(field, _)| field == name).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// The message as bytes in a version. Fields that the tree lacks get their defaults; those that the version lacks are left out.
pub fn write(message: &Message, version: i16, tree: &Tree) -> Vec<u8> {
    let flexible = message.flexible.contains(version);
    let mut writer = Writer { message, version, flexible, out: Vec::new() };
    writer.structure(&message.name, tree);
    writer.out
}

struct Writer<'a> {
    message: &'a Message,
    version: i16,
    flexible: bool,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn structure(&mut self, name: &str, tree: &Tree) {
        let of = self.message.find(name).clone();
        let mut tagged: Vec<(u32, &Field, Tree)> = Vec::new();
        let version = self.version;
        for field in of.fields.iter().filter(|field| field.versions.contains(version)) {
            let given = tree.field(&field.name);
            match field.tag.filter(|_| field.is_tagged_in(self.version)) {
                Some((tag, _)) => tagged.extend(given.map(|value| (tag, field, value.clone()))),
                None => self.value(field, &given.cloned().unwrap_or_else(|| default(field))),
            }
        }
        if self.flexible {
            tagged.sort_by_key(|(tag, ..)| *tag);
            uvarint(&mut self.out, tagged.len() as u32);
            for (tag, field, value) in tagged {
                uvarint(&mut self.out, tag);
                let before = std::mem::take(&mut self.out);
                self.value(field, &value);
                let body = std::mem::replace(&mut self.out, before);
                uvarint(&mut self.out, body.len() as u32);
                self.out.extend(body);
            }
        }
    }

    fn value(&mut self, field: &Field, value: &Tree) {
        let flexible = self.flexible && !field.never_flexible;
        let is_nullable_struct = matches!(field.ty, Type::Struct(_)) && field.nullable.contains(self.version);
        if is_nullable_struct {
            let null = if field.tag.is_some() { 0 } else { 0xff };
            self.out.push(if *value == Tree::Null { null } else { 1 });
            if *value == Tree::Null {
                return;
            }
        }
        self.scalar(&field.ty, flexible, value);
    }

    fn scalar(&mut self, ty: &Type, flexible: bool, value: &Tree) {
        match (ty, value) {
            (Type::Struct(name), tree) => self.structure(name, tree),
            (Type::Array(_) | Type::Bytes | Type::Records, Tree::Null) => length(&mut self.out, None, flexible, false),
            (Type::Str, Tree::Null) => length(&mut self.out, None, flexible, true),
            (Type::Array(element), Tree::List(items)) => {
                length(&mut self.out, Some(items.len()), flexible, false);
                items.iter().for_each(|item| self.scalar(element, flexible, item));
            }
            (Type::Str, Tree::Text(text)) => {
                length(&mut self.out, Some(text.len()), flexible, true);
                self.out.extend(text.as_bytes());
            }
            (Type::Bytes | Type::Records, Tree::Bytes(bytes)) => {
                length(&mut self.out, Some(bytes.len()), flexible, false);
                self.out.extend(bytes);
            }
            (Type::Uuid, Tree::Uuid(uuid)) => self.out.extend(uuid),
            (Type::F64, Tree::Float(value)) => self.out.extend(value.to_be_bytes()),
            (ty, Tree::Number(number)) => {
                let width = width(ty).unwrap_or_else(|| panic!("{number} for a {ty:?}"));
                self.out.extend(&number.to_be_bytes()[8 - width..]);
            }
            (ty, value) => panic!("{value:?} for a {ty:?}"),
        }
    }
}

/// Bytes of a number or boolean.
fn width(ty: &Type) -> Option<usize> {
    match ty {
        Type::Bool | Type::I8 => Some(1),
        Type::I16 | Type::U16 => Some(2),
        Type::I32 | Type::U32 => Some(4),
        Type::I64 => Some(8),
        _ => None,
    }
}

/// What a field has of which nothing is said.
pub fn default(field: &Field) -> Tree {
    match &field.ty {
        _ if field.default == "null" => Tree::Null,
        Type::Array(_) => Tree::List(Vec::new()),
        Type::Str => Tree::Text(field.default.clone()),
        Type::Bytes | Type::Records => Tree::Bytes(Vec::new()),
        Type::Uuid => Tree::Uuid([0; 16]),
        Type::F64 => Tree::Float(0.0),
        Type::Struct(_) => Tree::Struct(Vec::new()),
        _ => Tree::Number(match field.default.as_str() {
            "" | "false" => 0,
            "true" => 1,
            text => match text.strip_prefix("0x") {
                Some(hex) => i64::from_str_radix(hex, 16).expect("a default is a number"),
                None => text.parse().expect("a default is a number"),
            },
        }),
    }
}

/// Reads a message that is all of `bytes`.
///
/// # Errors
/// Where the bytes are not what the schema says.
pub fn read(message: &Message, version: i16, bytes: &[u8]) -> Result<Tree, String> {
    let flexible = message.flexible.contains(version);
    let mut reader = Reader { message, version, flexible, rest: bytes };
    let tree = reader.structure(&message.name)?;
    if reader.rest.is_empty() { Ok(tree) } else { Err(format!("{} bytes are left behind {tree:?}", reader.rest.len())) }
}

struct Reader<'a> {
    message: &'a Message,
    version: i16,
    flexible: bool,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| format!("{count} bytes where {} are", self.rest.len()))?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self, width: usize) -> Result<i64, String> {
        let bytes = self.take(width)?;
        let negative = bytes[0] & 0x80 != 0;
        Ok(bytes.iter().fold(if negative { -1 } else { 0 }, |number, &byte| number << 8 | i64::from(byte)))
    }

    fn uvarint(&mut self) -> Result<usize, String> {
        let (mut value, mut shift) = (0usize, 0);
        loop {
            let byte = self.take(1)?[0];
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    fn length(&mut self, flexible: bool, short: bool) -> Result<Option<usize>, String> {
        if flexible {
            return Ok(self.uvarint()?.checked_sub(1));
        }
        let length = self.number(if short { 2 } else { 4 })?;
        Ok(usize::try_from(length).ok())
    }

    fn structure(&mut self, name: &str) -> Result<Tree, String> {
        let of = self.message.find(name).clone();
        let mut fields = Vec::new();
        let present: Vec<&Field> = of.fields.iter().filter(|field| field.versions.contains(self.version)).collect();
        let version = self.version;
        for field in present.iter().filter(|field| !field.is_tagged_in(version)) {
            let value = self.value(field).map_err(|error| format!("{}: {error}", field.name))?;
            fields.push((field.name.clone(), value));
        }
        if self.flexible {
            for _ in 0..self.uvarint()? {
                let (tag, size) = (self.uvarint()?, self.uvarint()?);
                let known = present.iter().find(|field| field.tag.is_some_and(|(own, _)| own as usize == tag));
                match known.filter(|field| field.is_tagged_in(self.version)) {
                    Some(field) => fields.push((field.name.clone(), self.value(field)?)),
                    None => fields.push((format!("tag {tag}"), Tree::Bytes(self.take(size)?.to_vec()))),
                }
            }
        }
        Ok(Tree::Struct(fields))
    }

    fn value(&mut self, field: &Field) -> Result<Tree, String> {
        let flexible = self.flexible && !field.never_flexible;
        if matches!(field.ty, Type::Struct(_)) && field.nullable.contains(self.version) && self.number(1)? != 1 {
            return Ok(Tree::Null);
        }
        self.scalar(&field.ty, flexible)
    }

    fn scalar(&mut self, ty: &Type, flexible: bool) -> Result<Tree, String> {
        Ok(match ty {
            Type::Struct(name) => self.structure(name)?,
            Type::Array(element) => match self.length(flexible, false)? {
                None => Tree::Null,
                Some(count) => Tree::List((0..count).map(|_| self.scalar(element, flexible)).collect::<Result<_, _>>()?),
            },
            Type::Str => match self.length(flexible, true)? {
                None => Tree::Null,
                Some(length) => Tree::Text(String::from_utf8_lossy(self.take(length)?).into_owned()),
            },
            Type::Bytes | Type::Records => match self.length(flexible, false)? {
                None => Tree::Null,
                Some(length) => Tree::Bytes(self.take(length)?.to_vec()),
            },
            Type::Uuid => Tree::Uuid(self.take(16)?.try_into().expect("16 bytes")),
            Type::F64 => Tree::Float(f64::from_be_bytes(self.take(8)?.try_into().expect("8 bytes"))),
            Type::U16 => Tree::Number(self.number(2)? & 0xffff),
            Type::U32 => Tree::Number(self.number(4)? & 0xffff_ffff),
            number => Tree::Number(self.number(width(number).expect("a number"))?),
        })
    }
}
