//! The benches run, and what they print is the table that docs/benchmarks.md explains.

use std::process::Command;

use crate::support::{finish, folder, have, program, root};

/// A bench that nobody runs is soon one that nobody can run.
#[test]
fn the_benches_run_with_a_small_input() {
    if have(program("python3")).is_none() {
        return;
    }
    let cache = folder();
    let mut benches = Command::new(root().join("benches/run"));
    benches.arg("--smoke").env("JAUGE_BIN", env!("CARGO_BIN_EXE_jauge")).env("XDG_CACHE_HOME", cache.path());
    benches.env_remove("JAUGE_SHARED");
    let ran = finish(benches, b"").exits(0);
    assert!(ran.stdout.contains("| jauge, all tables |"), "{}", ran.stdout);
    assert!(ran.stdout.contains("`jauge verify` finds nothing wrong, and the ledger has all"), "{}", ran.stdout);
    assert_eq!(ran.stdout.matches("## ").count(), 3, "replay and two shapes:\n{}", ran.stdout);
}
