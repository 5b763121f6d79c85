//! The tests of the whole: one binary, so that the workspace is linked once for all of them, and the
//! real `jauge` beside it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

// What tests share: running the binary, temporary folders, and what a test lacks.
mod support;
// Small libraries that answer calls of the system otherwise.
mod preload;
// A table as a test sees it, and the first difference between two.
mod tables;
// The tables of a data directory, read with the parquet crate alone.
mod data_directory;
// The settled tables from their definitions, slowly: sharing nothing with the product.
mod reference;
// Random events made to collide.
mod random_events;
// The contract's own oracle, where a folder with it is at hand, and the reference against it.
mod oracle;
// Lines that are no events, each with the reason that the contract gives.
mod bad_events;
// The forms in which a time, a number and the beginning of a file may be written.
mod forms;
// `jauge replay`: equal to the reference and the oracle, however the events come.
mod replay;
// `jauge replay` refuses: exit codes, one sentence, nothing half written.
mod refusals;
// Files of the wrong kind: what is said of them, and that the advice is good.
mod hints;
// A real Apache Kafka, one for all tests of a run.
mod kafka;
// An S3 for tests: a server that others wrote, and one with faults.
mod s3;
// An Azure Blob Storage for tests, which others wrote.
mod azure;
// A data directory in an object store.
mod objects;
// `jauge run`: the path through Kafka, with the real binary.
mod run;
// Simulated nights: as files, as records, counted.
mod nights;
// `jauge verify`: what passes, what was damaged, what lies.
mod verify;
// Directories of version 1 of the contract: read as what they are.
mod version_1;
// `jauge show`: the same numbers as the tables, and before they are there.
mod show;
// What a shell hands over and is told: pipes, names, `~`, variables, commands to copy.
mod shell;
// Leaves that found no session: what their numbers tell is said.
mod orphans;
// `jauge rejected`: what could not be used, and the way back.
mod rejected;
// `jauge simulate`: the same events for the same seed, and their truth.
mod simulate;
// Whatever the bytes from outside are: the fuzz targets, on a stable Rust.
mod fuzz;
// The fault matrix of RELIABILITY.md: each row names a test that is there, or says why there is none.
mod faults;
// `jauge demo`: the whole path at once.
mod demo;
// DuckDB, Polars and pandas read what we write.
mod readers;
// The benches, with a small input.
mod benches;
// What tests need beside Rust is there before the first of them runs.
mod prepared;
// The documents: their commands are run, their lists compared with the code.
mod docs;
// The rules of the house that a machine can hold: walls, circles, nouns, sizes, lints.
mod house;
