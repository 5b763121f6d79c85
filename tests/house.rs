//! The rules of the house that a machine can hold: which room sees which, what a file needs of others, how large things
//! are, where tests lie, and which lints rule. Each is a function of texts, and is shown to fail on drawn ones before
//! it reads ours.

use std::fs;
use std::path::Path;

use crate::support::{files_under, root};
use product::{Texts, drawn};

// What `clippy.toml` bans, and the lints that are on.
mod bans;
// No file needs a file that needs it.
mod circles;
// What is built in asks for no more than a notice.
mod licences;
// A noun is one type, in one file.
mod nouns;
// What a file says of others: its items, its `use`, its paths.
mod paths;
// Where test code lies.
mod places;
// The files of the product, crate by crate.
mod product;
// Storeys, walls, and who may name what is heavy.
mod rooms;
// Lines of a room and of a file, columns of a line.
mod sizes;
// A file of Rust as its words.
mod source;

/// One file of the workspace.
fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files of these folders that are taken.
fn texts(folders: &[&str], takes: impl Fn(&Path) -> bool) -> Texts {
    let files = folders.iter().flat_map(|folder| files_under(&root().join(folder)));
    let inside = files.map(|path| path.strip_prefix(root()).unwrap().to_owned()).filter(|path| takes(path));
    inside.map(|path| path.to_str().unwrap().replace('\\', "/")).map(|path| (path.clone(), text(&path))).collect()
}

/// The sources in these folders.
fn sources(folders: &[&str]) -> Texts {
    texts(folders, |path| path.extension().is_some_and(|ending| ending == "rs"))
}

/// The files of one name.
fn texts_named(name: &str, folders: &[&str]) -> Texts {
    texts(folders, |path| path.file_name().is_some_and(|other| other == name))
}

/// The manifests of all rooms.
fn manifests() -> Texts {
    texts_named("Cargo.toml", &["crates"])
}

/// Files of these that `main` does not name in a line of their own, below one that says what they are for.
fn forgotten<'a>(main: &str, files: &'a Texts) -> Vec<&'a str> {
    let is_said = |path: &str| {
        let module = path.trim_start_matches("tests/").trim_end_matches(".rs");
        let lines: Vec<&str> = main.lines().collect();
        lines.windows(2).any(|two| two[0].starts_with("// ") && two[1] == format!("mod {module};"))
    };
    let tops =
        files.keys().map(String::as_str).filter(|path| path.matches('/').count() == 1 && *path != "tests/main.rs");
    tops.filter(|path| !is_said(path)).collect()
}

/// Files of these that keep a test from being run.
fn ignoring(files: &Texts) -> Vec<&str> {
    let mark = concat!("#[", "ignore");
    files.iter().filter(|(_, text)| text.contains(mark)).map(|(path, _)| path.as_str()).collect()
}

#[test]
fn no_test_file_is_forgotten() {
    let files = sources(&["tests"]);
    let forgotten = forgotten(&files["tests/main.rs"], &files);
    assert!(
        forgotten.is_empty(),
        "tests/main.rs does not have these, below a comment that says what they are for: {forgotten:?}"
    );
}

#[test]
fn no_test_is_skipped_without_a_word() {
    let files = sources(&["crates", "tests"]);
    let ignoring = ignoring(&files);
    assert!(ignoring.is_empty(), "what cannot run says so by `have`, and is not ignored: {ignoring:?}");
}

#[test]
fn a_test_file_that_is_forgotten_is_seen() {
    let files = drawn([
        ("tests/main.rs", ""),
        ("tests/a.rs", ""),
        ("tests/b.rs", ""),
        ("tests/c.rs", ""),
        ("tests/a/d.rs", ""),
    ]);
    assert_eq!(forgotten("// What a is.\nmod a;\nmod b;\n", &files), ["tests/b.rs", "tests/c.rs"]);
    let skipped = drawn([("a", "#[test]"), ("b", concat!("#[test] #[", "ignore]"))]);
    assert_eq!(ignoring(&skipped), ["b"]);
}
