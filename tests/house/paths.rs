//! What a file of Rust says of other files: the modules and items it has, the names it brings in by `use`, and the
//! paths it writes.

use std::collections::BTreeSet;

use super::source::{Source, Word};

/// A path as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path<'a> {
    pub(super) parts: Vec<&'a str>,
    /// In so many modules within the file it stands: each takes one `super` of it.
    pub(super) depth: usize,
}

/// One name that a `use` brings in.
#[derive(Debug)]
pub(super) struct Use<'a> {
    pub(super) path: Path<'a>,
    /// The name by which the file knows it; `*` for all that the path holds, `_` for none.
    pub(super) name: &'a str,
    /// Whether others may have it from here.
    pub(super) is_public: bool,
}

/// All that a file says of others.
#[derive(Debug, Default)]
pub(super) struct Says<'a> {
    /// Functions, types, traits, constants and macros of the file.
    pub(super) items: BTreeSet<&'a str>,
    /// Modules that stand within the file.
    pub(super) inline: BTreeSet<&'a str>,
    pub(super) uses: Vec<Use<'a>>,
    /// Paths of two parts or more, outside of `use`.
    pub(super) paths: BTreeSet<Path<'a>>,
    /// Names that stand alone, outside of `use`, where they may mean something that was brought in.
    pub(super) names: BTreeSet<&'a str>,
}

impl<'a> Says<'a> {
    pub(super) fn of(source: &Source<'a>) -> Says<'a> {
        let words = &source.words;
        let mut says = Says::default();
        // For each open brace, whether it is a module's.
        let mut braces: Vec<bool> = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let depth = braces.iter().filter(|is_module| **is_module).count();
            let next = words.get(at + 1);
            if words[at].is("use") && !next.is_some_and(|word| word.is("<")) {
                let is_public = is_public(words, at);
                at += 1;
                says.tree(words, &mut at, &Path { parts: Vec::new(), depth }, is_public);
                continue;
            }
            match words[at].text {
                "{" => braces.push(at > 1 && words[at - 2].is("mod")),
                "}" => _ = braces.pop(),
                _ => {}
            }
            if depth == braces.len() {
                says.item(words, at);
            }
            at = if words[at].is_name() { says.path(words, at, depth) } else { at + 1 };
        }
        says
    }

    /// The item whose name stands behind the word here.
    fn item(&mut self, words: &[Word<'a>], at: usize) {
        const ITEMS: [&str; 8] = ["fn", "struct", "enum", "union", "trait", "const", "static", "type"];
        let Some(name) = words.get(at + 1).filter(|word| word.is_name()) else {
            if words[at].is("macro_rules") {
                self.items.insert(words[at + 2].text);
            }
            return;
        };
        if ITEMS.contains(&words[at].text) {
            self.items.insert(name.text);
        } else if words[at].is("mod") && words.get(at + 2).is_some_and(|word| word.is("{")) {
            self.inline.insert(name.text);
        }
    }

    /// The path or the name that begins here, up to its end.
    fn path(&mut self, words: &[Word<'a>], start: usize, depth: usize) -> usize {
        let (mut parts, mut at) = (vec![words[start].text], start + 1);
        while at + 1 < words.len() && words[at].is("::") && words[at + 1].is_name() {
            parts.push(words[at + 1].text);
            at += 2;
        }
        let before = start.checked_sub(1).map_or("", |before| words[before].text);
        match (parts.as_slice(), before) {
            // A part of what stands before it, or a name that is being given.
            (_, "." | "::" | "mod" | "fn") => {}
            ([alone], _) => _ = self.names.insert(alone),
            _ => _ = self.paths.insert(Path { parts, depth }),
        }
        at
    }

    /// What a `use` brings in, from behind the word `use` or the parts before a brace.
    fn tree(&mut self, words: &[Word<'a>], at: &mut usize, before: &Path<'a>, is_public: bool) {
        let mut path = before.clone();
        let mut name = "";
        while let Some(word) = words.get(*at).copied() {
            *at += 1;
            match word.text {
                "{" => {
                    while !words[*at].is("}") {
                        self.tree(words, at, &path, is_public);
                        *at += usize::from(words[*at].is(","));
                    }
                    *at += 1;
                    return;
                }
                "as" => {
                    name = words[*at].text;
                    *at += 1;
                }
                "::" => {}
                ";" => break,
                "," | "}" => {
                    *at -= 1;
                    break;
                }
                "*" => name = "*",
                part => {
                    path.parts.push(part);
                    name = part;
                }
            }
        }
        // `use a::{self}` is `use a`.
        if path.parts.len() > 1 && path.parts.last() == Some(&"self") {
            path.parts.pop();
            name = if name == "self" { path.parts[path.parts.len() - 1] } else { name };
        }
        self.uses.push(Use { path, name, is_public });
    }
}

/// Whether `pub` stands before the word here, with or without its brackets.
pub(super) fn is_public(words: &[Word<'_>], at: usize) -> bool {
    let Some(before) = words[..at].last() else { return false };
    if !before.is(")") {
        return before.is("pub");
    }
    let open = words[..at].iter().rposition(|word| word.is("("));
    open.is_some_and(|open| open > 0 && words[open - 1].is("pub"))
}

#[test]
fn uses_and_paths_are_read() {
    let source = Source::of(
        "use a::{b, c::{self, D as E}, f::*}; pub(in crate::x) use super::g; use ::h as _;
         struct I; impl I { fn j(&self) -> k::L { m.n(o::P::<q::R>::s(), T) } }
         mod u { fn v() { super::super::w() } }",
    );
    let says = Says::of(&source);
    let told = |used: &Use<'_>| {
        format!("{}{}={}", if used.is_public { "pub " } else { "" }, used.path.parts.join("::"), used.name)
    };
    let uses: Vec<String> = says.uses.iter().map(told).collect();
    assert_eq!(uses, ["a::b=b", "a::c=c", "a::c::D=E", "a::f=*", "pub super::g=g", "h=_"]);
    let paths: Vec<String> =
        says.paths.iter().map(|path| format!("{}{}", path.parts.join("::"), "'".repeat(path.depth))).collect();
    assert_eq!(paths, ["crate::x", "k::L", "o::P", "q::R", "super::super::w'"]);
    assert_eq!(says.items.into_iter().collect::<Vec<_>>(), ["I", "v"]);
    assert!(says.inline.contains("u") && says.names.contains("T") && !says.names.contains("n"));
}
