//! What one can read in one sitting, and how much of it a room holds.

use super::nouns::without_excused;
use super::product::{Product, Texts, drawn, product};
use super::source::{Kind, Source, words};

/// Lines that a file of Rust may have.
const LINES: usize = 500;

/// Files that may be longer, each with the reason.
const LONGER: [(&str, &str); 0] = [];

/// Lines of product that a room may have: beyond, it is two rooms.
const ROOM: usize = 6_000;

/// The rooms that have less than that, each with the reason.
const SMALLER: [(&str, usize, &str); 1] = [("cli", 5_000, "what another room could hold is not the binary's")];

/// Columns of a line, as in `rustfmt.toml`, which does not hold them for comments.
const COLUMNS: usize = 120;

/// Files with more lines than that; and those that are excused without need.
fn long_files(texts: &Texts, lines: usize, excused: &[(&str, &str)]) -> Vec<String> {
    let long = texts.iter().map(|(path, text)| (path.as_str(), text.lines().count())).filter(|(_, has)| *has > lines);
    without_excused(long.map(|(path, has)| (path, format!("{path} has {has} lines"))).collect(), excused)
}

/// Files whose first paragraph does not say what they are.
fn unsaid(texts: &Texts) -> Vec<&str> {
    texts.iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path.as_str()).collect()
}

/// Rooms with more lines of product than they may have.
fn large_rooms(product: &Product<'_>, most: usize, smaller: &[(&str, usize, &str)]) -> Vec<String> {
    let mut large = Vec::new();
    for (room, files) in product {
        let lines: usize = files.values().map(Source::lines).sum();
        let most = smaller.iter().find(|(name, ..)| name == room).map_or(most, |(_, most, _)| *most);
        if lines > most {
            large.push(format!("{room} has {lines} lines of product, not at most {most}"));
        }
    }
    large
}

/// Lines that are wider than that and over whose edge no string reaches.
fn wide_lines(texts: &Texts, columns: usize) -> Vec<String> {
    let mut wide = Vec::new();
    for (path, text) in texts.iter().filter(|(_, text)| text.lines().any(|line| line.chars().count() > columns)) {
        let strings: Vec<_> = words(text).into_iter().filter(|word| word.kind == Kind::Literal).collect();
        let mut begins = 0;
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            if let Some((edge, _)) = line.trim_end().char_indices().nth(columns) {
                let edge = begins + edge;
                let inside = strings.iter().any(|word| word.at < edge && edge < word.at + word.text.len());
                wide.extend((!inside).then(|| format!("{path}:{number}")));
            }
            begins += line.len();
        }
    }
    wide
}

#[test]
fn files_are_read_in_one_sitting() {
    let texts = super::sources(&["crates", "tests", "benches"]);
    let unsaid = unsaid(&texts);
    assert!(unsaid.is_empty(), "files that do not open with a paragraph that says what they are: {unsaid:?}");
    let long = long_files(&texts, LINES, &LONGER);
    assert!(long.is_empty(), "over {LINES} lines, each perhaps two rooms in one: {long:?}");
}

#[test]
fn no_room_is_two() {
    let texts = super::sources(&["crates"]);
    let large = large_rooms(&product(&texts), ROOM, &SMALLER);
    assert!(large.is_empty(), "{}", large.join("\n"));
}

#[test]
fn comments_fit_the_columns_too() {
    let texts = super::sources(&["crates", "tests", "benches", "fuzz"]);
    let wide = wide_lines(&texts, COLUMNS);
    let some = &wide[..wide.len().min(20)];
    assert!(wide.is_empty(), "{} lines are wider than {COLUMNS} columns, such as {some:?}", wide.len());
}

#[test]
fn a_long_file_is_seen_and_one_that_does_not_say_what_it_is() {
    let texts = drawn([("a.rs", "//! A noun.\n\n\n"), ("b.rs", "// A noun.\n")]);
    assert_eq!(long_files(&texts, 2, &[]), ["a.rs has 3 lines"]);
    assert_eq!(long_files(&texts, 2, &[("a.rs", "drawn")]), [""; 0]);
    assert_eq!(long_files(&texts, 3, &[("a.rs", "drawn")]), ["a.rs is excused without need"]);
    assert_eq!(unsaid(&texts), ["b.rs"]);
}

#[test]
fn a_large_room_is_seen_without_its_tests() {
    let texts = drawn([
        ("crates/a/src/lib.rs", "//! A.\n\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n"),
        ("crates/a/src/c.rs", "//! C.\n"),
        ("crates/a/src/tests/d.rs", "//! D.\n"),
        ("crates/a/examples/e.rs", "//! E.\n"),
        ("crates/f/src/lib.rs", "//! F.\n\n"),
    ]);
    let product = product(&texts);
    assert_eq!(large_rooms(&product, 4, &[]), ["a has 5 lines of product, not at most 4"]);
    assert_eq!(large_rooms(&product, 5, &[("f", 1, "drawn")]), ["f has 2 lines of product, not at most 1"]);
    assert_eq!(large_rooms(&product, 5, &[("f", 2, "drawn")]), [""; 0]);
}

#[test]
fn a_wide_comment_is_seen_and_a_wide_string_is_not() {
    let texts = drawn([
        ("a.rs", "// äöüß\n// äöü\nf(\"a string\");\nlet a = 1;\n"),
        ("b.rs", "f(\n    \"wide and\n    wide\",\n);\n"),
    ]);
    assert_eq!(wide_lines(&texts, 6), ["a.rs:1", "a.rs:4"]);
    assert_eq!(wide_lines(&texts, 10), [""; 0]);
}
