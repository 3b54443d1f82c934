//! Random messages, written straight from Kafka's schemas: an encoder that shares no code with the one under test.
//!
//! What it writes is canonical: a tagged field that has its default is left out, tags ascend, nothing follows the message. So a
//! codec that reads it and writes it again must give the same bytes.

use crate::schema::{Field, Message, Type};

/// A small deterministic generator (splitmix64); a failing case is named by its seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

pub fn uvarint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A length, or -1 for null; in 16 bits where strings have them.
pub fn length(out: &mut Vec<u8>, length: Option<usize>, flexible: bool, short: bool) {
    match (flexible, short) {
        (true, _) => uvarint(out, length.map_or(0, |n| n as u32 + 1)),
        (false, true) => out.extend(length.map_or(-1, |n| n as i16).to_be_bytes()),
        (false, false) => out.extend(length.map_or(-1, |n| n as i32).to_be_bytes()),
    }
}

/// One message in one version, as bytes on the wire.
pub fn write_message(message: &Message, version: i16, random: &mut Random) -> Vec<u8> {
    let mut wire = Wire { message, version, flexible: message.flexible.contains(version), random, out: Vec::new(), depth: 0 };
    wire.structure(&message.name, false);
    wire.out
}

struct Wire<'a> {
    message: &'a Message,
    version: i16,
    flexible: bool,
    random: &'a mut Random,
    out: Vec<u8>,
    depth: usize,
}

impl Wire<'_> {
    /// With `distinct`, every field differs from its default.
    fn structure(&mut self, name: &str, distinct: bool) {
        let of = self.message.find(name);
        self.depth += 1;
        let present: Vec<&Field> = of.fields.iter().filter(|f| f.versions.contains(self.version)).collect();
        let mut tagged: Vec<(u32, &Field)> = Vec::new();
        for field in present {
            match field.tag {
                Some((tag, _)) if field.is_tagged_in(self.version) => tagged.push((tag, field)),
                _ => self.value(field, distinct),
            }
        }
        if self.flexible {
            tagged.sort_by_key(|(tag, _)| *tag);
            tagged.retain(|_| distinct || self.random.one_in(2));
            uvarint(&mut self.out, tagged.len() as u32);
            for (tag, field) in tagged {
                uvarint(&mut self.out, tag);
                let before = std::mem::take(&mut self.out);
                self.value(field, true);
                let body = std::mem::replace(&mut self.out, before);
                uvarint(&mut self.out, body.len() as u32);
                self.out.extend(body);
            }
        }
        self.depth -= 1;
    }

    fn value(&mut self, field: &Field, distinct: bool) {
        let flexible = self.flexible && !field.never_flexible;
        let default_is_null = field.default == "null";
        let may_be_null = field.nullable.contains(self.version) && !(distinct && default_is_null);
        let is_null = may_be_null && self.random.one_in(3);
        // What is null by default may be empty and still be distinct.
        let not_empty = distinct && !default_is_null;
        match &field.ty {
            Type::Struct(name) => {
                if field.nullable.contains(self.version) {
                    let null = if field.tag.is_some() { 0 } else { 0xff };
                    self.out.push(if is_null { null } else { 1 });
                }
                if !is_null {
                    self.structure(name, not_empty);
                }
            }
            Type::Array(element) => {
                let most = if self.depth > 3 { 2 } else { 4 };
                let n = self.random.below(most) + usize::from(not_empty);
                length(&mut self.out, (!is_null).then_some(n), flexible, false);
                if !is_null {
                    (0..n).for_each(|_| self.scalar(element, flexible, None, ""));
                }
            }
            Type::Str => self.scalar(&field.ty, flexible, Some((is_null, not_empty)), ""),
            Type::Bytes | Type::Records => self.scalar(&field.ty, flexible, Some((is_null, not_empty)), ""),
            ty => {
                let default = if distinct { field.default.as_str() } else { "any" };
                self.scalar(ty, flexible, None, if distinct && default.is_empty() { "0" } else { default });
            }
        }
    }

    /// A value of `ty`; with a number or boolean as `default`, another than that.
    fn scalar(&mut self, ty: &Type, flexible: bool, null_and_filled: Option<(bool, bool)>, default: &str) {
        let (is_null, filled) = null_and_filled.unwrap_or_default();
        match ty {
            Type::Struct(name) => self.structure(name, false),
            Type::Array(_) => unreachable!("arrays of arrays do not exist"),
            Type::Str => {
                let n = self.random.below(12) + usize::from(filled);
                let text: String = (0..n).map(|_| ['a', 'Z', '0', '-', 'é', '漢', '🦀'][self.random.below(7)]).collect();
                length(&mut self.out, (!is_null).then_some(text.len()), flexible, true);
                if !is_null {
                    self.out.extend(text.as_bytes());
                }
            }
            Type::Bytes | Type::Records => {
                // Now and then long enough for a two-byte varint, and for records to become a chunk of their own.
                let n = if self.random.one_in(8) { self.random.below(3000) } else { self.random.below(20) } + usize::from(filled);
                length(&mut self.out, (!is_null).then_some(n), flexible, false);
                if !is_null {
                    let bytes: Vec<u8> = (0..n).map(|_| self.random.next() as u8).collect();
                    self.out.extend(bytes);
                }
            }
            Type::Bool => {
                let value = match default {
                    "true" => false,
                    "false" | "0" => true,
                    _ => self.random.one_in(2),
                };
                self.out.push(u8::from(value));
            }
            Type::Uuid => (0..16).for_each(|_| self.out.push(self.random.next() as u8)),
            Type::F64 => {
                let value = self.random.next() as i32 as f64 / 7.0;
                self.out.extend(value.to_be_bytes());
            }
            number => self.number(number, default),
        }
    }

    fn number(&mut self, ty: &Type, default: &str) {
        let width = match ty {
            Type::I8 => 1,
            Type::I16 | Type::U16 => 2,
            Type::I32 | Type::U32 => 4,
            _ => 8,
        };
        let default: Option<i64> = match default.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).ok(),
            None => default.parse().ok(),
        };
        let bits = |value: i64| value as u64 & (u64::MAX >> (64 - 8 * width));
        let mut value = self.random.next();
        if self.random.one_in(4) {
            value = [0, 1, u64::MAX, u64::MAX >> 1][self.random.below(4)];
        }
        while default.is_some_and(|default| bits(default) == bits(value as i64)) {
            value = self.random.next();
        }
        self.out.extend(&value.to_be_bytes()[8 - width..]);
    }
}
