//! A manifest that is held up: while a commit is not made, nobody who reads a table's folder sees a row of it.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Running, SOON, Topic, join, leave, ledger, newest_manifest, verified, wait_until};
use crate::data_directory;
use crate::preload::preload;
use crate::readers::python;
use crate::support::{Need, files_under, finish, folder, have, program};

/// Waits at the making of the file whose name ends in `$HELD` until `$GATE`, a named pipe, was opened for writing and
/// closed again.
const HELD: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void wait_for(const char *name) {
    const char *held = getenv("HELD"), *gate = getenv("GATE");
    size_t has = strlen(name), wants = held ? strlen(held) : 0;
    char byte;
    if (!wants || has < wants || strcmp(name + has - wants, held)) return;
    int fd = open(gate, O_RDONLY);
    while (read(fd, &byte, 1) > 0) {}
    close(fd);
}
int linkat(int a, const char *b, int c, const char *d, int e) {
    int (*real)(int, const char *, int, const char *, int) = dlsym(RTLD_NEXT, "linkat");
    wait_for(d);
    return real(a, b, c, d, e);
}
int link(const char *a, const char *b) {
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "link");
    wait_for(b);
    return real(a, b);
}
"#;

/// A library that holds a manifest up, and the pipe that lets it go.
fn gate(folder: &Path) -> Need<(PathBuf, PathBuf)> {
    let (library, gate) = (preload(folder, "held", HELD)?, folder.join("gate"));
    let mut command = Command::new(program("mkfifo")?);
    command.arg(&gate);
    finish(command, &[]).exits(0);
    Ok((library, gate))
}

/// Rows of the table `events` as each reader that is given its folder, or a glob of it, finds them.
const COUNT: &str = r#"
import sys, duckdb, pandas, polars, pyarrow.dataset
folder = sys.argv[1]
print(len(pandas.read_parquet(folder)))
print(pyarrow.dataset.dataset(folder, format="parquet", partitioning="hive").count_rows())
print(polars.read_parquet(folder).height)
print(polars.scan_parquet(folder + "/**/*.parquet").collect().height)
print(duckdb.sql(f"SELECT count(*) FROM read_parquet('{folder}/**/*.parquet')").fetchall()[0][0])
"#;

/// All files that a reader of tables may come upon, a snapshot among them.
fn listed(out: &Path) -> Vec<PathBuf> {
    let is_ours = |path: &PathBuf| {
        let first = path.strip_prefix(out).unwrap().components().next().unwrap();
        ["commits", "parts", "lock", "keys"].iter().any(|ours| first.as_os_str() == *ours)
    };
    files_under(out).into_iter().filter(|path| !is_ours(path)).collect()
}

#[test]
fn no_reader_sees_a_row_of_a_commit_that_is_not_made() {
    let folder = folder();
    let Some((library, gate)) = have(gate(folder.path())) else { return };
    let (_broker, topic) = Topic::embedded(1);
    let out = folder.path().join("run");
    topic.send_events(&[join("a", 0), join("b", 1)]);
    let mut running = Running::of(&topic, &out, &["--idle-after=1h"]);
    running.wait_until_read(2);
    running.stop();
    let (before, newest) = (listed(&out), newest_manifest(&out).unwrap()["number"].as_u64().unwrap());

    // A start makes one commit of its own; the next is the first with events.
    let held = format!("{:020}.json", newest + 2);
    let mut command = topic.command(&out, &["--idle-after=1h", "--log-format=json", "--commit-interval=20ms"]);
    command.env("LD_PRELOAD", library).env("HELD", &held).env("GATE", &gate);
    let running = Running::start(command);
    topic.send_events(&[leave("a", 1_000), leave("b", 1_000), join("c", 2_000)]);
    let staged = |path: &PathBuf| path.to_string_lossy().contains(&format!("{held}#"));
    wait_until("manifest that is held up", SOON, || files_under(&out.join("commits")).into_iter().find(staged));
    // A named pipe is open once both sides are: all that the manifest names is written now, and it is not made.
    let _gate = OpenOptions::new().write(true).open(&gate).unwrap();
    assert_eq!(listed(&out), before);
    assert!(!files_under(&out.join("parts/events")).is_empty());
    let log = files_under(&out.join("events"));
    let rows: usize = log.iter().map(|path| data_directory::places(fs::read(path).unwrap()).len()).sum();
    assert_eq!(rows, 2);
    if let Some(python) = have(python()) {
        let mut command = Command::new(python);
        command.args(["-c", COUNT]).arg(out.join("events"));
        let said = finish(command, &[]).exits(0).stdout;
        assert_eq!(said.lines().collect::<Vec<_>>(), ["2"; 5], "{said}");
    }
    // Killed there, it leaves nothing in the folders of the tables either.
    running.signal("KILL");
    running.ends(SOON);
    assert_eq!(listed(&out), before);
    verified(&out);
    topic.until_end(&out, &["--idle-after=1h"]).exits(0);
    assert!(files_under(&out.join("parts")).is_empty());
    assert_eq!(ledger(&out, "read"), 5);
    verified(&out);
}
