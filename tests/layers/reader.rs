//! Reads one source file and says which rules of the house it breaks.
//!
//! Paths are resolved as the compiler would: `crate::`, `self::` and `super::` against the file's module (inline modules
//! included), everything else as the name of another crate or something local. Code that only tests compile is skipped.
//! Macros have no syntax tree, so their tokens are read as a flat row and every `a::b` in it is resolved the same way.

use crate::{DEVICE_ROOM, MAX_FILE_LINES, MAX_FUNCTION_LINES, is_room, may_name};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::fmt;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Crates that reach the operating system, a clock, chance or another thread.
const DEVICE_CRATES: &[&str] = &[
    "glommio",
    "libc",
    "io_uring",
    "socket2",
    "crossbeam_queue",
    "nix",
    "rustix",
    "mio",
    "tokio",
    "rand",
    "rand_core",
    "openraft_rt",
    "fastrand",
    "getrandom",
    "parking_lot",
    "dashmap",
];
/// The same inside the standard library; a path that begins so is one.
const DEVICE_PATHS: &[&[&str]] = &[
    &["std", "fs"],
    &["std", "thread"],
    &["std", "os"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["std", "net", "TcpStream"],
    &["std", "net", "TcpListener"],
    &["std", "net", "UdpSocket"],
];
const LOCKS: &[&str] = &["Mutex", "RwLock", "Condvar", "Barrier"];
/// Types that make a `static` mutable.
const MUTABLE: &[&str] = &["Cell", "RefCell", "UnsafeCell", "OnceCell", "LazyCell", "OnceLock", "LazyLock", "Mutex", "RwLock"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Another room is named that the table does not open to this one.
    Edge,
    /// A room re-exports a whole module or everything of another room, and so opens it to rooms that may not name it.
    OpenedRoom,
    /// The crate's root under another name, or all of it: paths could no longer be followed.
    RootAlias,
    /// The operating system, the reactor, a clock, chance or a thread outside `io`.
    Device,
    Lock,
    ThreadLocal,
    MutableStatic,
    /// `#[path]`, `include!`, `#[macro_export]`, `extern crate`: code that is not where its name says.
    Elsewhere,
    /// The map holds only the rooms.
    MapHasCode,
    /// A module `tests` that is compiled outside tests.
    TestsInProduct,
    NoOpening,
    LongFile,
    LongFunction,
    UnknownRoom,
    DoesNotParse,
}

#[derive(Debug)]
pub struct Violation {
    pub rule: Rule,
    pub file: String,
    pub line: usize,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{}: {:?}: {}", self.file, self.line, self.rule, self.what)
    }
}

/// A file with the place that its name gives it in the crate.
pub struct Source {
    pub file: String,
    pub text: String,
    /// `log/segment/mod.rs` is `[log, segment]`; the map itself is empty.
    pub module: Vec<String>,
    pub room: String,
}

impl Source {
    pub fn new(file: &str, text: String) -> Source {
        let stem = file.strip_suffix(".rs").expect("a Rust file");
        let mut module: Vec<String> = stem.split('/').map(str::to_owned).collect();
        let room = module[0].clone();
        if module.last().is_some_and(|last| last == "mod") || matches!(stem, "lib" | "main") {
            module.pop();
        }
        Source { file: file.to_owned(), text, module, room }
    }

    fn is_tests(&self) -> bool {
        self.module.iter().skip(1).any(|part| part == "tests")
    }

    fn is_generated(&self) -> bool {
        self.module.iter().any(|part| part == "generated")
    }
}

pub fn check(source: &Source, modules: &BTreeSet<Vec<String>>) -> Vec<Violation> {
    let mut reader = Reader { source, modules, module: source.module.clone(), found: Vec::new() };
    let lines = source.text.lines().count();
    if lines > MAX_FILE_LINES && !source.is_generated() {
        reader.report(
            Rule::LongFile,
            lines,
            format!("{lines} lines, the limit is {MAX_FILE_LINES}: a file this long is two rooms in one"),
        );
    }
    if source.file.ends_with("/mod.rs") && source.module.len() == 1 && !source.text.starts_with("//! ") {
        reader.report(Rule::NoOpening, 1, "a room opens with the problem it solves (`//! ...`)".to_owned());
    }
    if source.room != "lib" && !is_room(&source.room) {
        reader.report(Rule::UnknownRoom, 1, format!("the layer table has no room {}", source.room));
    }
    match syn::parse_file(&source.text) {
        Err(error) => reader.report(Rule::DoesNotParse, error.span().start().line, error.to_string()),
        Ok(file) if source.room == "lib" => reader.check_map(&file),
        Ok(_) if source.is_tests() => {}
        Ok(file) => reader.visit_file(&file),
    }
    reader.found
}

struct Reader<'a> {
    source: &'a Source,
    modules: &'a BTreeSet<Vec<String>>,
    module: Vec<String>,
    found: Vec<Violation>,
}

impl Reader<'_> {
    fn report(&mut self, rule: Rule, line: usize, what: String) {
        self.found.push(Violation { rule, file: self.source.file.clone(), line, what });
    }

    fn in_device_room(&self) -> bool {
        self.source.room == DEVICE_ROOM
    }

    /// The map declares rooms and nothing else: a re-export at the root would have a path that names no room.
    fn check_map(&mut self, file: &syn::File) {
        for item in &file.items {
            if !matches!(item, syn::Item::Mod(module) if module.content.is_none()) {
                self.report(Rule::MapHasCode, item.span().start().line, "src/lib.rs only declares the rooms".to_owned());
            }
        }
    }

    /// Where a path leads inside the crate, from the root; `None` when it leads to another crate or to something local.
    fn resolve(&self, path: &[String]) -> Option<Vec<String>> {
        match path[0].as_str() {
            "crate" | "flumen" => Some(path[1..].to_vec()),
            "self" => Some([&self.module[..], &path[1..]].concat()),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let kept = self.module.len().saturating_sub(ups);
                Some([&self.module[..kept], &path[ups..]].concat())
            }
            _ => None,
        }
    }

    fn check_path(&mut self, path: &[String], line: usize) {
        if let Some(lock) = path.iter().find(|part| LOCKS.contains(&part.as_str()))
            && !self.in_device_room()
        {
            self.report(Rule::Lock, line, format!("{lock}: cores send messages, they share nothing"));
        }
        let Some(target) = self.resolve(path) else {
            self.check_other_crate(path, line);
            return;
        };
        let Some(room) = target.first() else { return };
        if *room == self.source.room || (self.source.room == "main" && path[0] == "self") {
            return;
        }
        if !is_room(room) {
            self.report(Rule::Edge, line, format!("{} leads to no room", path.join("::")));
        } else if !may_name(&self.source.room, room) {
            self.report(Rule::Edge, line, format!("{} -> {room} ({})", self.source.room, path.join("::")));
        }
    }

    fn check_other_crate(&mut self, path: &[String], line: usize) {
        if self.in_device_room() {
            return;
        }
        let is = |prefix: &[&str]| path.len() >= prefix.len() && prefix.iter().zip(path).all(|(a, b)| a == b);
        let device = DEVICE_CRATES.contains(&path[0].as_str()) || DEVICE_PATHS.iter().any(|prefix| is(prefix));
        if device {
            self.report(Rule::Device, line, format!("{}: only `{DEVICE_ROOM}` names it", path.join("::")));
        }
    }

    fn check_use(&mut self, path: &[String], glob: bool, public: bool, line: usize) {
        self.check_path(path, line);
        let target = self.resolve(path);
        if target.as_ref().is_some_and(Vec::is_empty) {
            self.report(Rule::RootAlias, line, "the crate's root is not imported: name the room".to_owned());
        }
        if !public {
            return;
        }
        match target {
            Some(target) if target.first().is_some_and(|room| *room != self.source.room) => {
                if glob || self.modules.contains(&target) {
                    self.report(Rule::OpenedRoom, line, format!("re-exports {} as a whole: name the items", target.join("::")));
                }
            }
            None if DEVICE_CRATES.contains(&path[0].as_str()) && (glob || path.len() == 1) => {
                self.report(Rule::OpenedRoom, line, format!("re-exports the crate {}", path[0]));
            }
            _ => {}
        }
    }

    fn walk_use(&mut self, tree: &syn::UseTree, path: &mut Vec<String>, public: bool) {
        let line = tree.span().start().line;
        match tree {
            syn::UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.walk_use(&part.tree, path, public);
                path.pop();
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.walk_use(tree, path, public);
                }
            }
            syn::UseTree::Glob(_) => self.check_use(&path.clone(), true, public, line),
            syn::UseTree::Name(name) => self.check_use(&with_name(path, &name.ident), false, public, line),
            syn::UseTree::Rename(rename) => self.check_use(&with_name(path, &rename.ident), false, public, line),
        }
    }

    /// A macro's tokens as rows of names joined by `::`.
    fn check_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_of_path(&mut path, line);
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
                TokenTree::Group(group) => {
                    // `crate::{a, b}` cannot be told from a block here: what follows a `::` is read under its path.
                    let prefix = if colons == 2 { path.clone() } else { Vec::new() };
                    self.end_of_path(&mut path, line);
                    colons = 0;
                    if prefix.is_empty() {
                        self.check_tokens(group.stream());
                    } else {
                        self.check_group(&prefix, group.stream());
                    }
                }
                _ => {
                    self.end_of_path(&mut path, line);
                    colons = 0;
                }
            }
        }
        self.end_of_path(&mut path, line);
    }

    fn check_group(&mut self, prefix: &[String], tokens: TokenStream) {
        for token in tokens {
            if let TokenTree::Ident(ident) = token {
                self.check_path(&with_name(prefix, &ident), ident.span().start().line);
            }
        }
    }

    fn end_of_path(&mut self, path: &mut Vec<String>, line: usize) {
        let path = std::mem::take(path);
        if path.last().is_some_and(|last| last == "thread_local") && !self.in_device_room() {
            self.report(Rule::ThreadLocal, line, "simulated cores share a thread".to_owned());
        }
        let is_path = path.len() > 1 || path.first().is_some_and(|first| LOCKS.contains(&first.as_str()));
        if is_path {
            self.check_path(&path, line);
        }
    }

    fn check_length(&mut self, item: &impl Spanned, name: &syn::Ident) {
        let lines = item.span().end().line - item.span().start().line + 1;
        if lines > MAX_FUNCTION_LINES && !self.source.is_generated() {
            let line = item.span().start().line;
            self.report(Rule::LongFunction, line, format!("{name} has {lines} lines, the limit is {MAX_FUNCTION_LINES}"));
        }
    }
}

fn with_name(path: &[String], name: &proc_macro2::Ident) -> Vec<String> {
    let mut path = path.to_vec();
    if name != "self" || path.is_empty() {
        path.push(name.to_string());
    }
    path
}

/// Only tests compile it: `#[test]`, `#[cfg(test)]` or `#[cfg(all(test, ...))]`, but not `any` or `not`.
fn for_tests_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = match &attribute.meta {
            syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string(),
            syn::Meta::Path(path) => return path.is_ident("test"),
            _ => return false,
        };
        text == "test" || (text.starts_with("all") && text.contains("test") && !text.contains("any") && !text.contains("not"))
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            syn::Item::Enum(item) => &item.attrs,
            syn::Item::Const(item) => &item.attrs,
            syn::Item::Static(item) => &item.attrs,
            syn::Item::Trait(item) => &item.attrs,
            syn::Item::Macro(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !for_tests_only(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let line = item.span().start().line;
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("path")) {
            self.report(Rule::Elsewhere, line, "#[path]: a module's file has the module's name".to_owned());
        }
        if item.ident == "tests" {
            self.report(Rule::TestsInProduct, line, "mod tests without #[cfg(test)]".to_owned());
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let public = !matches!(item.vis, syn::Visibility::Inherited);
        self.walk_use(&item.tree, &mut Vec::new(), public);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.report(Rule::Elsewhere, item.span().start().line, "extern crate gives a crate a second name".to_owned());
    }

    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.check_path(&parts, path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let name = item.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        let line = item.span().start().line;
        if name == "thread_local" && !self.in_device_room() {
            self.report(Rule::ThreadLocal, line, "simulated cores share a thread".to_owned());
        }
        if name == "include" {
            self.report(Rule::Elsewhere, line, "include! hides where code comes from".to_owned());
        }
        self.check_tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) {
            self.report(Rule::Elsewhere, item.span().start().line, "#[macro_export] puts a macro at the root".to_owned());
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        let mut names = Names(Vec::new());
        names.visit_type(&item.ty);
        let interior = names.0.iter().any(|name| MUTABLE.contains(&name.as_str()) || name.starts_with("Atomic"));
        let mutable = matches!(item.mutability, syn::StaticMutability::Mut(_));
        if (interior || mutable) && !self.in_device_room() {
            self.report(
                Rule::MutableStatic,
                item.span().start().line,
                format!("static {}: simulated cores share a thread", item.ident),
            );
        }
        visit::visit_item_static(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.check_length(item, &item.sig.ident);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if for_tests_only(&item.attrs) {
            return;
        }
        self.check_length(item, &item.sig.ident);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.check_length(item, &item.sig.ident);
        visit::visit_trait_item_fn(self, item);
    }
}

/// The names in a type, at any depth.
struct Names(Vec<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_ident(&mut self, ident: &'ast proc_macro2::Ident) {
        self.0.push(ident.to_string());
    }
}
