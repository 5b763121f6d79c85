//! `jauge replay` refuses: each refusal has its exit code, one sentence that names the culprit, and
//! leaves nothing half written.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use crate::random_events::Scene;
use crate::support::{NO_FLAGS, Ran, clear_settings, files_under, finish, folder, have, jauge, program, replay};

const END: &str = r#"{"type":"end","broadcast_id":"b","ts":1700000000000}"#;

/// A folder with a file of these bytes, the file, and where a replay of it may write.
fn given(name: &str, bytes: impl AsRef<[u8]>) -> (TempDir, PathBuf, PathBuf) {
    let folder = folder();
    let (file, out) = (folder.path().join(name), folder.path().join("out"));
    fs::write(&file, bytes).unwrap();
    (folder, file, out)
}

/// Panics if there is a file that a reader would take for data, or a manifest that names one.
#[track_caller]
fn nothing_published(out: &Path) {
    let data = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "parquet" || ending == "json");
    let published: Vec<PathBuf> = files_under(out).into_iter().filter(data).collect();
    assert!(published.is_empty(), "nothing was to be published: {published:?}");
}

#[track_caller]
fn refused(file: &Path, out: &Path, code: i32, says: &[&str]) -> Ran {
    let ran = replay([file], out, NO_FLAGS).exits(code).says(says);
    nothing_published(out);
    ran
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut member = GzEncoder::new(Vec::new(), Compression::default());
    member.write_all(bytes).unwrap();
    member.finish().unwrap()
}

/// Lines that do not compress to nothing.
fn some_events() -> Vec<u8> {
    (0..40).flat_map(|seed| Scene::new(seed).lines()).flat_map(|line| (line + "\n").into_bytes()).collect()
}

#[test]
fn a_missing_file_is_named() {
    let (_folder, file, out) = given("events.ndjson", END);
    let missing = file.with_file_name("no-such-file.ndjson");
    refused(&missing, &out, 3, &["no-such-file.ndjson"]);
    replay([&file, &missing], &out, NO_FLAGS).exits(3).says(&["no-such-file.ndjson"]);
    nothing_published(&out);
}

#[test]
fn a_folder_is_no_file_of_events() {
    let (folder, _, out) = given("events.ndjson", END);
    let events = folder.path().join("a-folder");
    fs::create_dir(&events).unwrap();
    refused(&events, &out, 3, &["a-folder"]);
}

#[test]
fn cut_and_corrupt_input_is_refused() {
    let whole = gzip(&some_events());
    let mut corrupt = whole.clone();
    *corrupt.iter_mut().rev().nth(6).unwrap() ^= 1;
    let second_cut = [whole.clone(), whole[..whole.len() / 2].to_vec()].concat();
    let zst = zstd::encode_all(&some_events()[..], 0).unwrap();
    let mut corrupt_zst = zst.clone();
    corrupt_zst[zst.len() / 2..].iter_mut().take(9).for_each(|byte| *byte ^= 0x5a);
    let cases = [
        ("cut.gz", whole[..whole.len() - 9].to_vec()),
        ("cut-in-its-head.gz", whole[..5].to_vec()),
        ("checksum.gz", corrupt),
        ("second-member-cut.gz", second_cut),
        ("rubbish-after.gz", [whole, b"rubbish".to_vec()].concat()),
        ("cut.zst", zst[..zst.len() - 3].to_vec()),
        ("corrupt.zst", corrupt_zst),
    ];
    for (name, bytes) in cases {
        let (_folder, file, out) = given(name, bytes);
        refused(&file, &out, 4, &[name]);
    }
}

/// The first member of a tar archive: its header, and these bytes.
fn tar(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    let fields: [(usize, String); 6] = [
        (0, name.to_owned()),
        (100, "0000644\0".to_owned()),
        (124, format!("{:011o}\0", bytes.len())),
        (148, " ".repeat(8)),
        (156, "0".to_owned()),
        (257, "ustar\0\x30\x30".to_owned()),
    ];
    for (at, text) in fields {
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    [&header[..], bytes, &vec![0; 2_048 - bytes.len() % 512][..]].concat()
}

/// Another copy would be no better: it says what it is, and what makes lines of it.
#[test]
fn what_is_no_damage_is_not_called_damage() {
    let events = some_events();
    let window = |log: u32| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(&events).unwrap();
        encoder.finish().unwrap()
    };
    // A frame of one raw block that asks for the dictionary 7.
    let with_dictionary = b"\x28\xb5\x2f\xfd\x21\x07\x05\x29\0\0hello".to_vec();
    let zst = zstd::encode_all(&events[..], 0).unwrap();
    let xz = [&[0xfd][..], b"7zXZ\0", &[0; 30]].concat();
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("a.xz", xz.clone(), &["is compressed by xz", "xz -dc "]),
        ("a.bz2", b"BZh91AY&SYAAAAAAAAAAAAAA".to_vec(), &["is compressed by bzip2", "bzip2 -dc "]),
        ("a.zip", b"PK\x03\x04\x14\0".to_vec(), &["is a zip archive", "unzip -p "]),
        ("a.lz4", b"\x04\x22\x4d\x18\x40".to_vec(), &["is compressed by lz4"]),
        ("a.tar", tar("events.ndjson", &events[..300]), &["is a tar archive", "tar -xOf "]),
        (
            "a.tar.gz",
            gzip(&tar("events.ndjson", &events[..300])),
            &["holds what is a tar archive", "gzip -dc ", "| tar -xOf -"],
        ),
        ("a.gz.gz", gzip(&gzip(&events)), &["holds what is compressed by gzip", "| gzip -dc |"]),
        ("a.xz.zst", zstd::encode_all(&xz[..], 0).unwrap(), &["holds what is compressed by xz", "zstd -dc "]),
        ("a.parquet", b"PAR1\x15\x04\x15\x10".to_vec(), &["is a Parquet file", "docs/events.md"]),
        ("appended.gz", [gzip(&events), events.clone()].concat(), &["goes on behind its gzip data", "gzip -dc "]),
        ("appended.zst", [zst, events.clone()].concat(), &["goes on behind its zstd data"]),
        (
            "it's long.zst",
            window(28),
            &["window of 256 MiB", "at most 128 MiB", "zstd -dc --long=28 '", "'\\''s long.zst'"],
        ),
        ("dictionary.zst", with_dictionary, &["made with the dictionary 7,", "zstd -dc -D DICTIONARY "]),
    ];
    for (name, bytes, says) in cases {
        let (_folder, file, out) = given(name, &bytes);
        let ran = refused(&file, &out, 4, says);
        assert!(!ran.stderr.contains("damaged") && !ran.stderr.contains("whole copy"), "{name}: {}", ran.stderr);
        // From a pipe it is the same, and the hint does not name what has no name.
        let mut command = jauge();
        command.args(["replay", "-", "--out"]).arg(&out);
        let ran = finish(command, &bytes).exits(4).says(&says[..1]);
        assert!(!ran.stderr.contains("-dc - |"), "{name}: {}", ran.stderr);
    }
}

/// Servers that send whole blocks, tapes and images of disks leave them.
#[test]
fn zeros_behind_compressed_data_are_passed_over() {
    let (events, zeros) = (some_events(), vec![0; 700_000]);
    let zst = zstd::encode_all(&events[..], 0).unwrap();
    let mut ledgers = Vec::new();
    let cases = [
        ("plain.ndjson", events.clone()),
        ("padded.gz", [gzip(&events), zeros.clone()].concat()),
        ("one-zero.gz", [gzip(&events), vec![0]].concat()),
        ("padded.zst", [zst.clone(), zeros.clone()].concat()),
        ("one-zero.zst", [zst.clone(), vec![0]].concat()),
        ("five-zeros.zst", [zst.clone(), vec![0; 5]].concat()),
    ];
    for (name, bytes) in cases {
        let (_folder, file, out) = given(name, bytes);
        let ran = replay([&file], &out, ["--json"]).exits(0);
        ledgers.push((name, ran.stdout.split("\"hints\"").next().unwrap().to_owned()));
    }
    assert!(ledgers.iter().all(|(_, ledger)| *ledger == ledgers[0].1), "{ledgers:?}");
    // Within its data zeros are damage: a crash left them.
    for (name, stored) in [("torn.gz", gzip(&events)), ("torn.zst", zst)] {
        let torn = [&stored[..stored.len() / 2], &vec![0; stored.len() / 2][..]].concat();
        let (_folder, file, out) = given(name, torn);
        refused(&file, &out, 4, &[name, "damaged", "whole copy"]);
    }
}

#[test]
fn a_directory_that_holds_data_is_left_alone() {
    let (_folder, file, out) = given("events.ndjson", END);
    replay([&file], &out, NO_FLAGS).exits(0);
    let contents = |out: &Path| -> Vec<(PathBuf, Vec<u8>)> {
        files_under(out).into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
    };
    let before = contents(&out);
    assert!(!before.is_empty());
    replay([&file], &out, NO_FLAGS).exits(3).says(&["out"]);
    assert!(before == contents(&out), "a refused replay changes nothing");
}

#[test]
fn a_directory_that_cannot_be_is_named() {
    let (_folder, file, _) = given("events.ndjson", END);
    replay([&file], &file, NO_FLAGS).exits(3).says(&["events.ndjson"]);
    replay([&file], &file.join("below-a-file"), NO_FLAGS).exits(3).says(&["events.ndjson"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), END);
}

#[test]
fn a_misspelt_setting_is_named_with_its_nearest() {
    let (folder, file, out) = given("events.ndjson", END);
    let config = folder.path().join("jauge.toml");
    fs::write(&config, "sesion_timeout = \"1min\"\n").unwrap();
    let by_file = ["--config".into(), config.into_os_string()];
    replay([&file], &out, by_file).exits(2).says(&["sesion_timeout", "session_timeout", "jauge.toml"]);
    replay([&file], &out, ["--sesion-timeout=1min"]).exits(2).says(&["--session-timeout"]);
    nothing_published(&out);
}

#[test]
fn a_setting_out_of_its_range_is_refused() {
    let (_folder, file, out) = given("events.ndjson", END);
    let cases = [
        (vec!["--broadcast-idle=59s"], "broadcast"),
        (vec!["--broadcast-idle=31d"], "broadcast"),
        (vec!["--broadcast-idle=6"], "broadcast"),
        (vec!["--end-idle=59s"], "end_idle"),
        (vec!["--end-idle=31d"], "end_idle"),
        (vec!["--straggler=off"], "straggler"),
        (vec!["--straggler=61min"], "straggler"),
        (vec!["--return-within=61min"], "return_within"),
        (vec!["--session-timeout=soon"], "session"),
        (vec!["--session-timeout=1min", "--timeout-grace=61s"], "grace"),
        (vec!["--timeout-grace=1s"], "grace"),
        (vec!["--tables=minuets"], "minutes"),
        (vec!["--memory=much"], "memory"),
    ];
    for (flags, says) in cases {
        replay([&file], &out, flags).exits(2).says(&[says]);
    }
    nothing_published(&out);
}

#[test]
fn strict_stops_at_the_first_rejected_event() {
    let (_folder, file, out) = given("events.ndjson", format!("{END}\n{END}\n{{}}\n{END}\n"));
    replay([&file], &out, ["--strict"]).exits(4).says(&["events.ndjson", "missing_field", "type"]);
    nothing_published(&out);
    fs::write(&file, END).unwrap();
    replay([&file], &file.with_file_name("good"), ["--strict"]).exits(0);
}

/// A file of many sessions: some MiB of tables, as pseudonyms do not compress.
fn many_sessions() -> (TempDir, PathBuf, PathBuf) {
    let (folder, file, out) = given("many.ndjson", "");
    let mut lines = std::io::BufWriter::new(File::create(&file).unwrap());
    for n in 0..60_000 {
        let ts = 1_700_000_000_000_i64 + n % 977 * 1_000;
        writeln!(lines, r#"{{"type":"join","broadcast_id":"b","viewer_id":{n},"ts":{ts}}}"#).unwrap();
    }
    lines.flush().unwrap();
    (folder, file, out)
}

#[test]
fn a_file_that_may_not_grow_is_a_full_disk() {
    let (_folder, file, out) = many_sessions();
    // The shell's limit counts blocks of 512 or 1,024 bytes; either is far less than the table takes.
    let script = "trap '' XFSZ; ulimit -f 600; exec \"$@\"";
    let mut command = Command::new("sh");
    clear_settings(&mut command);
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_jauge"), "replay"]).arg(&file).arg("--out").arg(&out);
    let ran = finish(command, &[]).exits(3);
    nothing_published(&out);
    replay([&file], &out, NO_FLAGS).exits(0);
    ran.says(&["out"]);
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let Some(unshare) = have(program("unshare")) else { return };
    let (_folder, file, out) = many_sessions();
    fs::create_dir(&out).unwrap();
    // The small disk is seen by this command alone, and is gone with it, so what is left on it is listed from inside.
    let script = "mount -t tmpfs -o size=256k none \"$1\" || exit 99; out=$1; shift
        \"$@\"; code=$?; find \"$out\" -type f; exit $code";
    let mut command = Command::new(unshare);
    clear_settings(&mut command);
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(&out);
    command.args([env!("CARGO_BIN_EXE_jauge"), "replay"]).arg(&file).arg("--out").arg(&out);
    let ran = finish(command, &[]);
    let refused = ran.code == Some(99) || ran.stderr.starts_with("unshare:");
    let lack = format!("a mount namespace with a small disk of its own: {}", ran.stderr.trim());
    let mounted = if refused { Err(lack) } else { Ok(()) };
    if have(mounted).is_none() {
        return;
    }
    let ran = ran.exits(3);
    let published = ran.stdout.lines().filter(|line| line.ends_with(".parquet") || line.ends_with(".json"));
    assert_eq!(published.collect::<Vec<_>>(), [""; 0], "nothing was to be published");
    ran.says(&["out"]);
}

#[test]
fn a_pipe_without_reader_is_no_bug() {
    let (_folder, file, out) = given("events.ndjson", END);
    let mut command = Command::new("sh");
    clear_settings(&mut command);
    let script = "{ \"$@\"; echo \"exit $?\" >&2; } | true";
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_jauge"), "replay"]).arg(&file).arg("--out").arg(&out);
    let ran = finish(command, &[]);
    assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("exit 1\n"), "{}", ran.stderr);
}

#[test]
fn help_has_an_example() {
    let mut command = jauge();
    command.args(["replay", "--help"]);
    let ran = finish(command, &[]).exits(0);
    assert!(ran.stdout.contains("jauge replay "), "{}", ran.stdout);
}
