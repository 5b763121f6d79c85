//! What tests need beside Rust is there before the first of them runs: a new machine has none of it.

use std::fs;
use std::process::Command;

use crate::support::{finish, folder, program, root};

/// What `tests/prepare` knows: the folders beside it that have a script of their own.
fn preparations() -> Vec<String> {
    let folders = fs::read_dir(root().join("tests")).unwrap().map(|entry| entry.unwrap().path());
    let with_script = folders.filter(|folder| folder.join("prepare").is_file());
    let mut names: Vec<String> =
        with_script.map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// What is asked of `tests/prepare` in a script before a line that `runs_tests`, or where none does so before the end.
fn prepared_first(script: &str, runs_tests: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = script.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let before = lines.take_while(|line| !runs_tests(line));
    let asked = before.filter_map(|line| line.split_once("tests/prepare "));
    asked.flat_map(|(_, names)| names.split_whitespace().map(str::to_owned)).collect()
}

#[test]
fn a_new_machine_has_all_of_it_before_the_first_test() {
    let is_test = |line: &str| line.contains("cargo test") || line == "make test";
    let mut asked = prepared_first(&fs::read_to_string(root().join(".ci/run")).unwrap(), is_test);
    asked.sort();
    assert_eq!(asked, preparations(), ".ci/run brings all that there is before it tests");
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let recipe = makefile.split("\ntest: ").nth(1).unwrap();
    assert_eq!(prepared_first(recipe, |line| line.contains("$(TEST)")), ["kafka", "readers"]);
}

#[test]
fn what_is_prepared_too_late_is_seen() {
    let script = "cargo test -- objects\ntests/prepare kafka\n";
    assert!(prepared_first(script, |line| line.contains("cargo test")).is_empty());
}

#[test]
fn what_cannot_be_had_is_named() {
    let prepare = |require: &str| {
        let mut command = Command::new(root().join("tests/prepare"));
        command.args(["kafka", "azure"]).env("JAUGE_REQUIRE_ALL", require);
        // An empty cache, and no program that could fill it.
        let empty = folder();
        for tool in ["bash", "env", "dirname", "cmp"] {
            std::os::unix::fs::symlink(program(tool).unwrap(), empty.path().join(tool)).unwrap();
        }
        command.env("XDG_CACHE_HOME", empty.path().join("cache")).env("PATH", empty.path());
        finish(command, &[])
    };
    prepare("0").exits(0).says(&["no java on the path", "no npm on the path", "goes on without: kafka azure"]);
    prepare("1").exits(1).says(&["cannot go on without: kafka azure"]);
}
