//! A noun is one type, what it can do stands in one file, and the writer's name is written once.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::is_public;
use super::product::{Product, drawn, product};
use super::source::{Source, Word};

/// Names that more than one type may have, each with the reason.
const SHARED: [(&str, &str); 0] = [];

/// Types of which a part stands in other files than their own, each with the reason.
const PARTED: [(&str, &str); 2] = [
    ("Lane", "it is frozen and put back where the frozen form is known, and a round needs neither"),
    ("TableFile", "it reads every table, and the columns of a table are known to the table's own file alone"),
];

/// Literals that stand in one file of the product, each with what they say.
const WRITTEN_ONCE: [(&str, &str); 1] = [("\"main\"", "the name of the writer, of which there will be several")];

/// The types and traits of a file that others may see, by their names.
fn nouns<'a>(source: &Source<'a>) -> Vec<Word<'a>> {
    let words = &source.words;
    let is_noun = |at: &usize| {
        let prefix = words[*at].is("trait") && *at > 0 && words[*at - 1].is("unsafe");
        let kind = ["struct", "enum", "union", "trait"].iter().any(|kind| words[*at].is(kind));
        kind && words[*at + 1].is_name() && is_public(words, *at - usize::from(prefix))
    };
    (0..words.len().saturating_sub(1)).filter(is_noun).map(|at| words[at + 1]).collect()
}

/// Names that more than one type has, with the places; and what is excused without need.
fn names_of_two(product: &Product<'_>, excused: &[(&str, &str)]) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (path, source) in product.values().flatten() {
        for noun in nouns(source) {
            places.entry(noun.text).or_default().push(format!("{path}:{}", source.line(&noun)));
        }
    }
    let told = |name: &str, at: Vec<String>| format!("{name} is {} types: {}", at.len(), at.join(", "));
    let found = places.into_iter().filter(|(_, at)| at.len() > 1).map(|(name, at)| (name, told(name, at)));
    without_excused(found.collect(), excused)
}

/// Methods that stand in another file than the type has, by the name of the type; and what is excused without need.
fn parts_elsewhere(product: &Product<'_>, excused: &[(&str, &str)]) -> Vec<String> {
    let mut found: BTreeMap<&str, String> = BTreeMap::new();
    for (path, source) in product.values().flatten() {
        let words = &source.words;
        let own = |name: &str| {
            let kinds = ["struct", "enum", "union", "trait"];
            words.windows(2).any(|two| kinds.iter().any(|kind| two[0].is(kind)) && two[1].is(name))
        };
        for name in (0..words.len()).filter_map(|at| inherent(words, at)).filter(|name| !own(name.text)) {
            let place = format!("{path}:{}", source.line(&name));
            found.entry(name.text).and_modify(|told| *told += ", ").or_insert_with(|| format!("{} in ", name.text));
            found.entry(name.text).and_modify(|told| *told += &place);
        }
    }
    without_excused(found, excused)
}

/// The type whose inherent `impl` begins here.
fn inherent<'a>(words: &[Word<'a>], at: usize) -> Option<Word<'a>> {
    let begins = at == 0 || ["}", ";", "{", "]", "unsafe"].contains(&words[at - 1].text);
    if !words[at].is("impl") || !begins {
        return None;
    }
    let (mut angles, mut name) = (0, None);
    for (at, word) in words.iter().enumerate().skip(at + 1) {
        match word.text {
            "<" => angles += 1,
            ">" => angles -= 1,
            "for" if angles == 0 => return None,
            "{" | "where" if angles == 0 => return name,
            // What a macro will write has no name yet.
            "$" if angles == 0 => return None,
            _ if angles == 0 && word.is_name() && !words[at + 1].is("::") => name = Some(*word),
            _ => {}
        }
    }
    None
}

/// Literals of the list that stand in more files than one.
fn written_twice(product: &Product<'_>, once: &[(&str, &str)]) -> Vec<String> {
    let mut twice = Vec::new();
    for (literal, means) in once {
        let has = |source: &Source<'_>| source.words.iter().any(|word| word.text == *literal);
        let files: Vec<&str> =
            product.values().flatten().filter(|(_, source)| has(source)).map(|(path, _)| *path).collect();
        if files.len() != 1 {
            twice.push(format!("{literal} ({means}) stands in {} files: {}", files.len(), files.join(", ")));
        }
    }
    twice
}

/// What was found, less the names that a list excuses; and those that it need not excuse.
pub(super) fn without_excused(found: BTreeMap<&str, String>, excused: &[(&str, &str)]) -> Vec<String> {
    let names: BTreeSet<&str> = excused.iter().map(|(name, _)| *name).collect();
    let idle = names.iter().filter(|name| !found.contains_key(*name));
    let idle: Vec<String> = idle.map(|name| format!("{name} is excused without need")).collect();
    found.into_iter().filter(|(name, _)| !names.contains(name)).map(|(_, told)| told).chain(idle).collect()
}

#[test]
fn a_noun_is_one_type() {
    let texts = super::sources(&["crates"]);
    let two = names_of_two(&product(&texts), &SHARED);
    assert!(two.is_empty(), "names that a reader of one file cannot tell apart:\n{}", two.join("\n"));
}

#[test]
fn what_a_type_can_do_stands_in_its_file() {
    let texts = super::sources(&["crates"]);
    let parts = parts_elsewhere(&product(&texts), &PARTED);
    assert!(parts.is_empty(), "methods that no import shows:\n{}", parts.join("\n"));
}

#[test]
fn the_writers_name_is_written_once() {
    let texts = super::sources(&["crates"]);
    let twice = written_twice(&product(&texts), &WRITTEN_ONCE);
    assert!(twice.is_empty(), "{}", twice.join("\n"));
}

#[test]
fn a_noun_that_is_two_is_seen() {
    let mut texts = drawn([
        ("crates/a/src/lib.rs", "pub struct Gap; struct Own; pub fn f() -> impl Gap { enum Own {} }"),
        (
            "crates/a/src/b.rs",
            "// pub struct Lane;\n\npub(in crate::x) enum Gap {}\n#[cfg(test)] mod tests { pub enum Lane {} }",
        ),
        ("crates/c/src/lib.rs", "pub(crate) unsafe trait Lane {} const TEXT: &str = \"pub struct Lane;\";"),
    ]);
    let seen = "Gap is 2 types: crates/a/src/b.rs:3, crates/a/src/lib.rs:1";
    assert_eq!(names_of_two(&product(&texts), &[]), [seen]);
    assert_eq!(names_of_two(&product(&texts), &[("Gap", "drawn")]), [""; 0]);
    texts.insert("crates/a/src/b.rs".into(), "pub enum OffsetGap {}".into());
    assert_eq!(names_of_two(&product(&texts), &[]), [""; 0]);
    assert_eq!(names_of_two(&product(&texts), &[("Gap", "drawn")]), ["Gap is excused without need"]);
}

#[test]
fn a_type_that_goes_on_elsewhere_is_seen() {
    let mut texts = drawn([
        ("crates/a/src/lib.rs", "pub struct Owner<'a, T>(&'a T); impl<'a, T: Into<u8>> Owner<'a, T> { fn f() {} }"),
        (
            "crates/a/src/hold.rs",
            "fn g(a: impl Fn() -> u8) -> impl Clone { 1 }\nimpl<T> crate::Owner<'_, T> where for<'b> &'b T: Eq { fn h() {} }
             impl<T> Clone for crate::Owner<'_, T> {} trait Own {} impl dyn Own {} macro_rules! m { () => { impl $t {} } }",
        ),
    ]);
    assert_eq!(parts_elsewhere(&product(&texts), &[]), ["Owner in crates/a/src/hold.rs:2"]);
    assert_eq!(parts_elsewhere(&product(&texts), &[("Owner", "drawn")]), [""; 0]);
    texts.insert("crates/a/src/hold.rs".into(), "fn h<T>(owner: crate::Owner<'_, T>) {}".into());
    assert_eq!(parts_elsewhere(&product(&texts), &[]), [""; 0]);
    assert_eq!(parts_elsewhere(&product(&texts), &[("Owner", "drawn")]), ["Owner is excused without need"]);
}

#[test]
fn a_name_that_is_written_twice_is_seen() {
    let mut texts = drawn([
        ("crates/a/src/lib.rs", "pub const WRITER: &str = \"main\"; #[cfg(test)] fn f() { g(\"main\") }"),
        ("crates/a/src/b.rs", "fn g() { h(\"main\") } // \"main\""),
        ("crates/a/src/tests.rs", "fn i() { j(\"main\") }"),
    ]);
    let seen = "\"main\" (drawn) stands in 2 files: crates/a/src/b.rs, crates/a/src/lib.rs";
    assert_eq!(written_twice(&product(&texts), &[("\"main\"", "drawn")]), [seen]);
    texts.insert("crates/a/src/b.rs".into(), "fn g() { h(crate::WRITER) }".into());
    assert_eq!(written_twice(&product(&texts), &[("\"main\"", "drawn")]), [""; 0]);
}
