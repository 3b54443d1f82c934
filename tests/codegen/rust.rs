//! Writes the Rust of one message: its structs, their defaults, and straight-line code that reads and writes each version.

use crate::schema::{Field, Kind, Message, Struct, Type, Versions};
use std::fmt::Write as _;

/// `MaxBytes` to `max_bytes`.
pub fn snake_case(name: &str) -> String {
    let name = name.replace("KRaft", "Kraft");
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let after_lower = i > 0 && !chars[i - 1].is_uppercase();
        let before_lower = i > 0 && chars.get(i + 1).is_some_and(|n| n.is_lowercase());
        if c.is_uppercase() && i > 0 && (after_lower || before_lower) {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    if matches!(out.as_str(), "type" | "match") { format!("r#{out}") } else { out }
}

/// The condition on `v` for being in `versions`, given that it is in `outer`; `None` when that is always so.
fn condition(versions: Versions, outer: Versions) -> Option<String> {
    let low = (versions.low > outer.low).then(|| format!("v >= {}", versions.low));
    let high = (versions.high < outer.high).then(|| format!("v <= {}", versions.high));
    match (low, high) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => Some(one),
        (Some(low), Some(high)) => Some(format!("{low} && {high}")),
    }
}

fn when(condition: &Option<String>, body: &str) -> String {
    match condition {
        Some(condition) => format!("if {condition} {{ {body} }}\n"),
        None => format!("{body}\n"),
    }
}

/// Whether records of this kind are read back and rewritten, so that tagged fields of a later Kafka must survive.
fn keeps_unknown_tags(kind: Kind) -> bool {
    matches!(kind, Kind::Metadata | Kind::CoordinatorValue | Kind::Data)
}

/// Null is said in another way in a tagged struct than in one in line.
fn tagged(field: &Field) -> &'static str {
    if field.tag.is_some() { "_tagged" } else { "" }
}

struct Emitter<'a> {
    message: &'a Message,
    of: &'a Struct,
    flexible: String,
}

/// The whole file of one message.
pub fn message_file(message: &Message, response: Option<&str>) -> String {
    let mut out = format!("//! {}, {}.\n\nuse super::prelude::*;\n\n", message.name, spell(message.versions));
    for of in message.structs.iter().filter(|s| !s.versions.is_empty()) {
        out += &Emitter { message, of, flexible: flexible(message, of.versions) }.emit();
    }
    out += &message_impl(message, response);
    out
}

fn flexible(message: &Message, outer: Versions) -> String {
    if message.flexible.and(outer).is_empty() {
        "false".to_owned()
    } else {
        condition(message.flexible, outer).unwrap_or("true".to_owned())
    }
}

fn spell(versions: Versions) -> String {
    match (versions.low, versions.high) {
        (low, i16::MAX) => format!("version {low} and later"),
        (low, high) if low == high => format!("version {low}"),
        (low, high) => format!("versions {low} to {high}"),
    }
}

fn message_impl(message: &Message, response: Option<&str>) -> String {
    let (name, Versions { low, high }) = (&message.name, message.versions);
    let check = |error: &str| {
        format!(
            "if !(Self::MIN_VERSION..=Self::MAX_VERSION).contains(&v) {{ return Err({error}::UnsupportedVersion {{ message: Self::NAME, version: v }}); }}"
        )
    };
    let is_throttled = |top: &Struct| top.fields.iter().any(|field| field.name == "ThrottleTimeMs");
    let throttled = match message.structs.first().is_some_and(is_throttled) {
        true => "\nfn set_throttle_time_ms(&mut self, milliseconds: i32) { self.throttle_time_ms = milliseconds; }",
        false => "",
    };
    let mut out = format!(
        "impl Message for {name} {{
            const NAME: &'static str = \"{name}\";
            const MIN_VERSION: i16 = {low};
            const MAX_VERSION: i16 = {high};
            fn decode(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {{ {} Self::read(r, v) }}
            fn encode(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {{ {} self.write(w, v) }}{throttled}
        }}\n",
        check("DecodeError"),
        check("EncodeError"),
    );
    if let Some(response) = response {
        let api = name.strip_suffix("Request").expect("a request is called Request");
        let module = snake_case(response);
        write!(
            out,
            "\nimpl Request for {name} {{
                const API_KEY: ApiKey = ApiKey::{api};
                type Response = super::{module}::{response};
            }}\n"
        )
        .unwrap();
    }
    out
}

impl Emitter<'_> {
    fn emit(&self) -> String {
        let name = &self.of.name;
        let keeps = keeps_unknown_tags(self.message.kind) && self.flexible != "false";
        let natural = self.of.fields.iter().all(|f| self.default_is_natural(f));
        let derives = if natural { "Clone, Debug, PartialEq, Default" } else { "Clone, Debug, PartialEq" };
        let mut fields = String::new();
        for field in &self.of.fields {
            write!(fields, "/// {}.\n pub {}: {},\n", self.describe(field), snake_case(&field.name), self.rust_type(field))
                .unwrap();
        }
        if keeps {
            fields += "/// Tagged fields of a later Kafka, ascending.\n pub unknown_tagged_fields: Vec<(u32, Bytes)>,\n";
        }
        let mut out = format!("#[derive({derives})]\npub struct {name} {{\n{fields}}}\n\n");
        if !natural {
            let set = |f: &Field| format!("{}: {},\n", snake_case(&f.name), self.default(f));
            let mut defaults: String = self.of.fields.iter().map(set).collect();
            if keeps {
                defaults += "unknown_tagged_fields: Vec::new(),\n";
            }
            write!(out, "impl Default for {name} {{ fn default() -> Self {{ Self {{ {defaults} }} }} }}\n\n").unwrap();
        }
        write!(
            out,
            "impl {name} {{
                pub(in crate::protocol) fn read(r: &mut Reader, v: i16) -> Result<Self, DecodeError> {{ {} }}

                pub(in crate::protocol) fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {{ {} }}
            }}\n\n",
            self.read_body(keeps),
            self.write_body(keeps),
        )
        .unwrap();
        out
    }

    fn describe(&self, field: &Field) -> String {
        let mut text = spell(self.present(field));
        text[..1].make_ascii_uppercase();
        if let Some((tag, _)) = field.tag {
            write!(text, ", tag {tag}").unwrap();
        }
        if !field.nullable.is_empty() && field.nullable.and(self.of.versions) != self.present(field) {
            write!(text, "; null in {}", spell(field.nullable)).unwrap();
        }
        text
    }

    /// The versions of the message in which the field exists.
    fn present(&self, field: &Field) -> Versions {
        field.versions.and(self.of.versions)
    }

    fn plain_type(ty: &Type) -> String {
        match ty {
            Type::Bool => "bool",
            Type::I8 => "i8",
            Type::I16 => "i16",
            Type::U16 => "u16",
            Type::I32 => "i32",
            Type::U32 => "u32",
            Type::I64 => "i64",
            Type::F64 => "f64",
            Type::Uuid => "TopicId",
            Type::Str => "StrBytes",
            Type::Bytes => "Bytes",
            Type::Records => "Records",
            Type::Struct(name) => name,
            Type::Array(element) => return format!("Vec<{}>", Self::plain_type(element)),
        }
        .to_owned()
    }

    fn rust_type(&self, field: &Field) -> String {
        let plain = Self::plain_type(&field.ty);
        if self.is_option(field) { format!("Option<{plain}>") } else { plain }
    }

    /// Records say null themselves.
    fn is_option(&self, field: &Field) -> bool {
        field.is_nullable() && field.ty != Type::Records
    }

    fn default_is_natural(&self, field: &Field) -> bool {
        match field.ty {
            _ if field.default == "null" || field.ty == Type::Records => true,
            _ if self.is_option(field) => false,
            Type::Bool => field.default.is_empty() || field.default == "false",
            _ => field.default.is_empty() || field.default == "0",
        }
    }

    fn default(&self, field: &Field) -> String {
        let plain = match &field.ty {
            _ if field.default == "null" && field.ty != Type::Records => return "None".to_owned(),
            Type::Records => "Records::Null".to_owned(),
            Type::Str => "StrBytes::EMPTY".to_owned(),
            Type::Bytes => "Bytes::new()".to_owned(),
            Type::Uuid => "TopicId::ZERO".to_owned(),
            Type::Array(_) => "Vec::new()".to_owned(),
            Type::Struct(name) => format!("{name}::default()"),
            Type::Bool if field.default.is_empty() => "false".to_owned(),
            Type::F64 if field.default.is_empty() => "0.0".to_owned(),
            _ if field.default.is_empty() => "0".to_owned(),
            _ => field.default.clone(),
        };
        if self.is_option(field) { format!("Some({plain})") } else { plain }
    }

    /// An expression that is true when the field does not have its default.
    fn differs(&self, field: &Field) -> String {
        let it = format!("self.{}", snake_case(&field.name));
        match &field.ty {
            _ if field.default == "null" && self.is_option(field) => format!("{it}.is_some()"),
            Type::Str | Type::Bytes | Type::Array(_) if self.is_option(field) => {
                format!("{it}.as_ref().is_none_or(|x| !x.is_empty())")
            }
            Type::Str | Type::Bytes | Type::Array(_) => format!("!{it}.is_empty()"),
            Type::Bool if field.default == "true" => format!("!{it}"),
            Type::Bool => it,
            Type::Uuid => format!("!{it}.is_zero()"),
            _ => format!("{it} != {}", self.default(field)),
        }
    }

    fn flex(&self, field: &Field) -> &str {
        match self.flexible.as_str() {
            _ if field.never_flexible => "false",
            "true" => "true",
            "false" => "false",
            _ => "flex",
        }
    }

    fn least_size(&self, field: &Field, element: &Type) -> usize {
        let versions = self.present(field);
        (versions.low..=versions.high).map(|v| self.message.least_size(element, v)).min().unwrap_or(1).max(1)
    }

    /// The call that reads one value of the field, null excluded or not.
    fn read_call(&self, field: &Field, ty: &Type, nullable: bool) -> String {
        let prefix = if nullable { "nullable_" } else { "" };
        let flex = self.flex(field);
        match ty {
            Type::Bool => "r.bool()?".to_owned(),
            Type::Uuid => "r.uuid()?".to_owned(),
            Type::Str => format!("r.{prefix}string({flex})?"),
            Type::Bytes => format!("r.{prefix}bytes({flex})?"),
            Type::Records => format!("r.{prefix}records({flex})?"),
            Type::Struct(name) if nullable => format!("r.nullable{}_struct(|r| {name}::read(r, v))?", tagged(field)),
            Type::Struct(name) => format!("{name}::read(r, v)?"),
            Type::Array(element) => {
                let call = self.read_call(field, element, false);
                let call = call.strip_suffix('?').expect("every read can fail");
                format!("r.{prefix}array({flex}, {}, |r| {call})?", self.least_size(field, element))
            }
            number => format!("r.{}()?", Self::plain_type(number)),
        }
    }

    fn read_value(&self, field: &Field, present: Versions) -> String {
        let nullable = field.nullable.and(present);
        let some = |call: String| if self.is_option(field) { format!("Some({call})") } else { call };
        if nullable.is_empty() {
            return some(self.read_call(field, &field.ty, false));
        }
        match condition(nullable, present) {
            None => self.read_call(field, &field.ty, true),
            Some(condition) => {
                let (with, without) = (self.read_call(field, &field.ty, true), self.read_call(field, &field.ty, false));
                format!("if {condition} {{ {with} }} else {{ {} }}", some(without))
            }
        }
    }

    fn flex_binding(&self) -> String {
        let used = !matches!(self.flexible.as_str(), "true" | "false");
        if used { format!("let flex = {};\n", self.flexible) } else { String::new() }
    }

    fn read_body(&self, keeps: bool) -> String {
        let mut out = self.flex_binding();
        out += "let mut m = Self::default();\n";
        let mut tags = String::new();
        for field in &self.of.fields {
            let name = snake_case(&field.name);
            let value = |present| format!("m.{name} = {};", self.read_value(field, present));
            let (plain, tagged) = self.split(field);
            if !plain.is_empty() {
                out += &when(&condition(plain, self.of.versions), &value(plain));
            }
            if let (false, Some((tag, _))) = (tagged.is_empty(), field.tag) {
                let guard = condition(tagged, self.flexible_versions()).map_or(String::new(), |c| format!(" if {c}"));
                write!(tags, "{tag}{guard} => {{ {} }}\n", value(tagged)).unwrap();
            }
        }
        if self.flexible != "false" {
            let other = if keeps { "return r.keep_tag(tag, &mut m.unknown_tagged_fields)" } else { "return Ok(false)" };
            let body = if tags.is_empty() {
                let other = other.strip_prefix("return ").expect("as above");
                format!("r.tags(|tag, r| {other})?;")
            } else {
                format!("r.tags(|tag, r| {{ match tag {{ {tags} _ => {other}, }} Ok(true) }})?;")
            };
            out += &when(&self.flex_condition(), &body);
        }
        out + "Ok(m)"
    }

    fn flexible_versions(&self) -> Versions {
        self.message.flexible.and(self.of.versions)
    }

    fn flex_condition(&self) -> Option<String> {
        (self.flexible != "true").then(|| "flex".to_owned())
    }

    /// The versions in which the field stands in line, and those in which it is tagged. A field is one or the other.
    fn split(&self, field: &Field) -> (Versions, Versions) {
        let present = self.present(field);
        match field.tag {
            None => (present, Versions::NONE),
            Some((_, tagged)) => {
                assert_eq!(tagged.and(present), present, "{}: tagged in some of its versions only", field.name);
                (Versions::NONE, present)
            }
        }
    }

    /// The call that writes `it`, a reference for anything that is not a number.
    fn write_call(&self, field: &Field, ty: &Type, it: &str, nullable: bool) -> String {
        let flex = self.flex(field);
        let (prefix, reference) = if nullable { ("nullable_", "") } else { ("", "&") };
        match ty {
            Type::Str => format!("w.{prefix}string({flex}, {reference}{it})?"),
            Type::Bytes => format!("w.{prefix}bytes({flex}, {reference}{it})?"),
            Type::Records => format!("w.records({flex}, &{it})?"),
            Type::Struct(name) if nullable => {
                format!("w.nullable{}_struct({it}, |w, x: &{name}| x.write(w, v))?", tagged(field))
            }
            Type::Struct(_) => format!("{it}.write(w, v)?"),
            Type::Array(element) => {
                let each = match &**element {
                    Type::Struct(_) => "x.write(w, v)".to_owned(),
                    Type::Str => format!("w.string({flex}, x)"),
                    Type::Bytes => format!("w.bytes({flex}, x)"),
                    Type::Array(_) | Type::Records => panic!("arrays of arrays are new"),
                    _ => format!("Ok({})", self.write_call(field, element, "*x", false)),
                };
                format!("w.{prefix}array({flex}, {reference}{it}, |w, x| {each})?")
            }
            Type::Uuid => format!("w.uuid({it})"),
            number => format!("w.{}({it})", Self::plain_type(number)),
        }
    }

    fn write_value(&self, field: &Field, present: Versions) -> String {
        let name = snake_case(&field.name);
        let place = format!("{}.{}", self.of.name, field.name);
        let nullable = field.nullable.and(present);
        if field.ty == Type::Records {
            assert!(nullable.is_empty() || nullable == present, "records null in some versions");
            let check = format!("if self.{name} == Records::Null {{ return null(\"{place}\", v); }}");
            let call = self.write_call(field, &field.ty, &format!("self.{name}"), false);
            return if nullable.is_empty() { format!("{check} {call};") } else { format!("{call};") };
        }
        if !self.is_option(field) {
            return format!("{};", self.write_call(field, &field.ty, &format!("self.{name}"), false));
        }
        let deref = if field.ty.is_array() { "as_deref" } else { "as_ref" };
        let with_null = format!("{};", self.write_call(field, &field.ty, &format!("self.{name}.{deref}()"), true));
        let without = || {
            let call = self.write_call(field, &field.ty, "x", false).replace("&x", "x");
            format!("let Some(x) = &self.{name} else {{ return null(\"{place}\", v) }}; {call};")
        };
        match condition(nullable, present) {
            _ if nullable.is_empty() => without(),
            None => with_null,
            Some(condition) => format!("if {condition} {{ {with_null} }} else {{ {} }}", without()),
        }
    }

    fn write_body(&self, keeps: bool) -> String {
        let mut out = self.flex_binding();
        let mut tagged: Vec<(u32, &Field)> = Vec::new();
        for field in &self.of.fields {
            let (plain, tags) = self.split(field);
            let in_version = condition(self.present(field), self.of.versions);
            if let (Some(condition), false) = (&in_version, field.ignorable) {
                let place = format!("{}.{}", self.of.name, field.name);
                write!(out, "if !({condition}) && {} {{ return lost(\"{place}\", v); }}\n", self.differs(field)).unwrap();
            }
            if !plain.is_empty() {
                out += &when(&in_version, &self.write_value(field, plain));
            }
            if let (false, Some((tag, _))) = (tags.is_empty(), field.tag) {
                tagged.push((tag, field));
            }
        }
        tagged.sort_by_key(|(tag, _)| *tag);
        if self.flexible != "false" {
            out += &when(&self.flex_condition(), &self.write_tags(&tagged, keeps));
        }
        out + "Ok(())"
    }

    fn write_tags(&self, tagged: &[(u32, &Field)], keeps: bool) -> String {
        if tagged.is_empty() && !keeps {
            return "w.uvarint(0);".to_owned();
        }
        let mut out = "let mut t = w.begin_tags();\n".to_owned();
        if keeps {
            out += "let mut unknown = self.unknown_tagged_fields.as_slice();\n";
        }
        for (tag, field) in tagged {
            let present = self.present(field);
            let in_version = condition(present, self.flexible_versions()).map_or(String::new(), |c| format!("{c} && "));
            let unknown = if keeps { format!("w.unknown_tags(&mut t, &mut unknown, Some({tag}))?;") } else { String::new() };
            let (differs, value) = (self.differs(field), self.write_value(field, present));
            write!(out, "if {in_version}{differs} {{ {unknown} w.begin_tag(&mut t, {tag}); {value} w.end_tag(&t); }}\n").unwrap();
        }
        if keeps {
            out += "w.unknown_tags(&mut t, &mut unknown, None)?;\n";
        }
        out + "w.end_tags(t);"
    }
}
