//! No file needs a file that needs it: each name is followed to the file that defines it, through whatever hands it on.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::{Path, Says, Use};
use super::product::{Product, drawn, product};
use super::source::Source;

/// A crate's files as modules of each other.
struct Modules<'a> {
    /// By the path of the module, `a::b`; that of the crate itself is empty.
    by_module: BTreeMap<String, (&'a str, Says<'a>)>,
}

/// Names by the file that says them and the file that defines them.
type Arrows<'a> = BTreeMap<(&'a str, &'a str), BTreeSet<String>>;

impl<'a> Modules<'a> {
    fn of(files: &BTreeMap<&'a str, Source<'a>>) -> Modules<'a> {
        let module = |(path, source): (&&'a str, &Source<'a>)| (module_of(path), (*path, Says::of(source)));
        Modules { by_module: files.iter().map(module).collect() }
    }

    /// Who names what of whom. A file that only hands a name on does not need it.
    fn arrows(&self) -> Arrows<'a> {
        let mut arrows = Arrows::new();
        for (module, (file, says)) in &self.by_module {
            let mut needs = |name: String, files: BTreeSet<&'a str>| {
                for other in files.into_iter().filter(|other| other != file) {
                    arrows.entry((file, other)).or_default().insert(name.clone());
                }
            };
            let mut brought = BTreeSet::new();
            for used in &says.uses {
                if used.name == "*" {
                    for name in &says.names {
                        needs((*name).to_owned(), self.find(module, &through(used, &[name])).unwrap_or_default());
                    }
                } else if !used.is_public || says.names.contains(used.name) {
                    let files = self.files_of(module, &used.path);
                    brought.extend((!files.is_empty()).then_some(used.name));
                    needs(used.name.to_owned(), files);
                }
            }
            for path in says.paths.iter().filter(|path| !brought.contains(path.parts[0])) {
                let (_, named) = from_where(module, path);
                needs(named.join("::"), self.files_of(module, path));
            }
        }
        arrows
    }

    /// The files that define what a path names. What cannot be found, such as a macro's work, lies where the path
    /// points to.
    fn files_of(&self, module: &str, path: &Path<'a>) -> BTreeSet<&'a str> {
        self.find(module, path).unwrap_or_else(|| {
            let (mut module, parts) = from_where(module, path);
            if parts.len() == path.parts.len() {
                return BTreeSet::new();
            }
            for part in parts {
                let child = child_of(&module, part);
                module = if self.by_module.contains_key(&child) { child } else { break };
            }
            self.by_module.get(&module).map(|(file, _)| *file).into_iter().collect()
        })
    }

    /// The same; nothing where the crate has no such name, no file where it is a module or another crate's.
    fn find(&self, module: &str, path: &Path<'a>) -> Option<BTreeSet<&'a str>> {
        self.follow(module, path, &mut BTreeSet::new())
    }

    fn follow(
        &self,
        module: &str,
        path: &Path<'a>,
        met: &mut BTreeSet<(String, &'a str)>,
    ) -> Option<BTreeSet<&'a str>> {
        let (module, parts) = from_where(module, path);
        let Some((first, rest)) = parts.split_first() else { return Some(BTreeSet::new()) };
        let (file, says) = self.by_module.get(&module)?;
        let child = child_of(&module, first);
        let down = |module: &str, met: &mut _| self.follow(module, &Path { parts: rest.to_vec(), depth: 0 }, met);
        if self.by_module.contains_key(&child) && !rest.is_empty() {
            return down(&child, met);
        }
        if says.inline.contains(first) {
            return down(&module, met);
        }
        let mut found = says.items.contains(first).then(|| BTreeSet::from([*file]));
        if self.by_module.contains_key(&child) {
            found.get_or_insert_default();
        }
        for used in says.uses.iter().filter(|used| used.name == *first) {
            let found = found.get_or_insert_default();
            if met.insert((module.clone(), first)) {
                found.extend(self.follow(&module, &through(used, rest), met).unwrap_or_default());
                met.remove(&(module.clone(), first));
            }
        }
        if found.is_none() && met.insert((module.clone(), first)) {
            let all = says.uses.iter().filter(|used| used.name == "*");
            let mut in_each = all.filter_map(|used| self.follow(&module, &through(used, parts), met));
            found = in_each.next();
        }
        found
    }
}

/// The module of a file, `a::b`.
fn module_of(path: &str) -> String {
    let inside = path.split_once("/src/").map_or(path, |(_, inside)| inside).trim_end_matches(".rs");
    let module = match inside {
        "lib" | "main" => "",
        _ => inside.trim_end_matches("/mod"),
    };
    module.replace('/', "::")
}

fn child_of(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

/// The path of what a `use` brings in, and of more parts behind it.
fn through<'a>(used: &Use<'a>, rest: &[&'a str]) -> Path<'a> {
    Path { parts: [&used.path.parts, rest].concat(), depth: used.path.depth }
}

/// The module at which a path begins, and its parts from there.
fn from_where<'a, 'b>(module: &str, path: &'b Path<'a>) -> (String, &'b [&'a str]) {
    let (mut module, mut parts, mut depth) = (module.to_owned(), path.parts.as_slice(), path.depth);
    while let Some((first, rest)) = parts.split_first() {
        match *first {
            "crate" => module.clear(),
            "self" => {}
            "super" if depth > 0 => depth -= 1,
            "super" => module.truncate(module.rfind("::").unwrap_or(0)),
            _ => break,
        }
        parts = rest;
    }
    (module, parts)
}

/// The circles of each crate, as many lines as there are: the files, and by which names they need each other.
fn circles(product: &Product<'_>) -> Vec<String> {
    let mut circles = Vec::new();
    for files in product.values() {
        let arrows = Modules::of(files).arrows();
        let mut left: BTreeSet<&str> = files.keys().copied().collect();
        while let Some(first) = left.pop_first() {
            let circle: BTreeSet<&str> =
                reached(&arrows, first).into_iter().filter(|other| reached(&arrows, other).contains(first)).collect();
            left.retain(|file| !circle.contains(file));
            if !circle.is_empty() {
                circles.push(told(&circle, &arrows));
            }
        }
    }
    circles
}

fn reached<'a>(arrows: &Arrows<'a>, from: &'a str) -> BTreeSet<&'a str> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        let ahead = arrows.keys().filter(|(one, _)| *one == file).map(|(_, other)| *other);
        next.extend(ahead.filter(|other| reached.insert(*other)));
    }
    reached
}

fn told(circle: &BTreeSet<&str>, arrows: &Arrows<'_>) -> String {
    let within = arrows.iter().filter(|((one, other), _)| circle.contains(one) && circle.contains(other));
    let lines = within.map(|((one, other), names)| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        format!("\n  {one} needs {other} for {}", names.join(", "))
    });
    format!("{} files in a circle:{}", circle.len(), lines.collect::<String>())
}

#[test]
fn no_file_lies_in_a_circle() {
    let texts = super::sources(&["crates"]);
    let circles = circles(&product(&texts));
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

/// A message that is defined by who sends it, and handed on by a face that does not need it.
const CIRCLE: [(&str, &str); 5] = [
    ("crates/a/src/lib.rs", "mod run; mod face; pub use run::lane::Cut;"),
    ("crates/a/src/run/mod.rs", "pub mod lane; mod owner; pub(crate) use lane::{Cut as Piece, *}; fn start() {}"),
    ("crates/a/src/run/lane.rs", "use super::owner; pub struct Cut; fn f() { owner::tell(Happening) }"),
    ("crates/a/src/run/owner.rs", "use crate::{face as f}; pub fn tell(cut: f::Piece) { super::start() }"),
    ("crates/a/src/face.rs", "pub use crate::run::*; #[cfg(test)] mod tests { use crate::run::owner::tell; }"),
];

#[test]
fn a_circle_is_seen_through_all_that_hands_a_name_on() {
    let texts = drawn(CIRCLE);
    let seen = "2 files in a circle:
  crates/a/src/run/lane.rs needs crates/a/src/run/owner.rs for owner::tell
  crates/a/src/run/owner.rs needs crates/a/src/run/lane.rs for f::Piece";
    assert_eq!(circles(&product(&texts)), [seen]);
}

#[test]
fn a_circle_is_gone_when_its_noun_has_a_file_of_its_own() {
    let mut texts = drawn(CIRCLE);
    texts.insert("crates/a/src/run/message.rs".into(), "pub struct Cut;".into());
    texts.insert(CIRCLE[0].0.into(), "mod run; mod face; pub use run::Piece as Cut;".into());
    texts.insert(CIRCLE[1].0.into(), CIRCLE[1].1.replace("lane::{Cut as Piece, *}", "message::Cut as Piece"));
    texts.insert(CIRCLE[2].0.into(), "use super::{message::Cut, owner}; fn f() { owner::tell(Cut) }".into());
    assert_eq!(circles(&product(&texts)), [""; 0]);
}

#[test]
fn a_circle_of_parent_and_child_is_seen_and_that_of_their_tests_is_none() {
    let texts = drawn([
        ("crates/a/src/lib.rs", "mod b; mod d { pub use super::b::E; } fn f() -> d::E { b::g() }"),
        ("crates/a/src/b.rs", "mod c; pub enum E {} pub fn g() { c::new() } #[cfg(test)] mod probe;"),
        ("crates/a/src/b/c.rs", "fn new() -> super::E { crate::of_a_macro!() }"),
        ("crates/a/src/b/probe.rs", "use crate::f; fn p() { f() }"),
    ]);
    let circles = circles(&product(&texts));
    assert!(circles.len() == 1 && circles[0].starts_with("3 files"), "{circles:?}");
}
