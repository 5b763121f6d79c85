//! `requests` of the targets, under libFuzzer.
#![no_main]

#[path = "../libfuzzer.rs"]
mod libfuzzer;
#[path = "../targets.rs"]
#[allow(dead_code, reason = "each binary has one target of them all")]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| libfuzzer::run(targets::requests, bytes));
