//! What is built into the binary asks for no more than a notice.

use std::process::Command;

use crate::support::{finish, have, root};

/// Packages of a tree, lines of `licence|package`, whose licence is not among these.
fn refused<'a>(tree: &'a str, allowed: &[&str]) -> Vec<&'a str> {
    // No expression among our dependencies has an AND inside an OR, so this reads them all, and would be too strict
    // with one.
    let may = |part: &str| part.trim_matches(['(', ')']).split(" OR ").any(|licence| allowed.contains(&licence));
    let is_allowed = |licence: &str| licence.replace(" / ", "/").replace('/', " OR ").split(" AND ").all(may);
    tree.lines().filter(|line| line.split_once('|').is_some_and(|(licence, _)| !is_allowed(licence))).collect()
}

#[test]
fn licences_are_those_that_we_allow() {
    let deny: toml::Table = super::text("deny.toml").parse().unwrap();
    let allowed: Vec<&str> =
        deny["licenses"]["allow"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(root()).args(["tree", "--workspace", "--all-features", "--locked", "--offline", "--quiet"]);
    tree.args(["--edges=normal,build", "--prefix=none", "--format={l}|{p}"]);
    let ran = finish(tree, &[]);
    let here = if ran.stderr.contains("--offline") {
        Err("crates of the features that are off: `cargo fetch` brings them".into())
    } else {
        Ok(ran)
    };
    let Some(ran) = have(here) else { return };
    let tree = ran.exits(0).stdout;
    let refused = refused(&tree, &allowed);
    assert!(refused.is_empty(), "licences that we do not allow: {refused:?}");
    assert!(tree.lines().count() > 10, "the tree of dependencies was read: {tree}");
}

#[test]
fn a_licence_that_asks_for_more_is_seen() {
    let tree = "MIT OR Apache-2.0|a v1\nMIT/Apache-2.0|b v1\n(MIT OR GPL-3.0) AND Zlib|c v1\nMIT AND GPL-3.0|d v1\n\n";
    assert_eq!(refused(tree, &["MIT", "Zlib"]), ["MIT AND GPL-3.0|d v1"]);
    assert_eq!(refused(tree, &["MIT", "Zlib", "GPL-3.0"]), [""; 0]);
}
