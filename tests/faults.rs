//! The fault matrix: RELIABILITY.md has a row for each fault, with the tests that make it, or the reason why none can.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{files_under, root};

/// The rows of the matrix.
const FAULTS: usize = 39;

/// A row: its number, the fault, and what stands for it.
struct Row {
    number: usize,
    fault: String,
    held_by: String,
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("RELIABILITY.md")).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with("Faults\n")).expect("it has a section Faults");
    let cells =
        |line: &str| -> Vec<String> { line.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect() };
    let row = |cells: Vec<String>| -> Option<Row> {
        let [number, fault, held_by] = &cells[..] else { panic!("a row has three cells: {cells:?}") };
        Some(Row { number: number.parse().ok()?, fault: fault.clone(), held_by: held_by.clone() })
    };
    section.lines().filter(|line| line.starts_with('|')).map(cells).filter_map(row).collect()
}

impl Row {
    /// The tests it names: what stands in backticks.
    fn tests(&self) -> Vec<&str> {
        self.held_by.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect()
    }
}

/// A test's name as one says it: `run::kills::killed_at_random_moments`, or with the crate in
/// front, and without `tests`.
fn path_of(file: &Path, name: &str) -> String {
    let relative = file.strip_prefix(root()).unwrap().with_extension("");
    let parts = relative.components().map(|part| part.as_os_str().to_str().unwrap());
    // `tests/…` are modules of one binary; in a crate, `crates/NAME/src/…`, the name of the crate goes first.
    let modules = parts.filter(|part| !matches!(*part, "tests" | "crates" | "src" | "mod"));
    modules.chain([name]).collect::<Vec<_>>().join("::")
}

/// All tests of the workspace by their paths.
fn tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let files = ["tests", "crates"].iter().flat_map(|folder| files_under(&root().join(folder)));
    for file in files.filter(|file: &PathBuf| file.extension().is_some_and(|ending| ending == "rs")) {
        let text = fs::read_to_string(&file).unwrap();
        for (place, _) in text.match_indices("#[test]") {
            let Some((_, rest)) = text[place..].split_once("fn ") else { continue };
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            tests.insert(path_of(&file, &name));
        }
    }
    tests
}

#[test]
fn every_fault_has_a_test_that_is_there_or_a_reason() {
    let (rows, tests) = (rows(), tests());
    assert!(tests.contains("faults::every_fault_has_a_test_that_is_there_or_a_reason"), "{tests:?}");
    let numbers: Vec<usize> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=FAULTS).collect::<Vec<_>>(), "each fault has one row, in order");
    let mut with_a_test = 0;
    for row in &rows {
        let Row { number, fault, held_by } = row;
        for test in row.tests() {
            assert!(tests.contains(test), "{number}, {fault}: there is no test {test}");
        }
        with_a_test += usize::from(!row.tests().is_empty());
        let has_reason = held_by.contains("not here: ");
        assert!(
            has_reason || !row.tests().is_empty(),
            "{number}, {fault}: neither a test nor a reason (`not here: …`)"
        );
    }
    assert!(with_a_test >= 28, "most faults have a test: {with_a_test}");
}

/// The first cells of the runbook's tables are what the product says: each part between dots stands in its source.
#[test]
fn the_runbook_quotes_what_can_be_said() {
    let text = fs::read_to_string(root().join("RELIABILITY.md")).unwrap();
    let runbook = text.split("\n## ").find(|section| section.starts_with("Runbook\n")).expect("it has a runbook");
    let sources = files_under(&root().join("crates"))
        .into_iter()
        .filter(|path| path.components().any(|c| c.as_os_str() == "src"));
    let said: String = sources.map(|path| joined(&fs::read_to_string(path).unwrap())).collect();
    let first = |line: &str| line.trim_matches('|').split('|').next().unwrap_or_default().to_owned();
    let cells = runbook.lines().filter(|line| line.starts_with("| `")).map(first);
    let mut quotes = 0;
    for cell in cells {
        for quote in cell.split('`').skip(1).step_by(2) {
            quotes += 1;
            for part in quote.split('…').map(str::trim).filter(|part| part.len() > 3) {
                let parts: Vec<&str> = ["cannot ", ""].iter().filter_map(|start| part.strip_prefix(start)).collect();
                assert!(parts.iter().any(|part| said.contains(part)), "nothing says {part:?} of {quote:?}");
            }
        }
    }
    assert!(quotes > 25, "the runbook has sentences: {quotes}");
}

/// A source with its long strings in one line.
fn joined(source: &str) -> String {
    let mut parts = source.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |whole, part| whole + part.trim_start())
}
