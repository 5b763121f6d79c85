//! What a shell hands over, and what is handed back to it: pipes, names of files, `~`, variables, and commands to copy.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::data_directory;
use crate::nights::{events, rough, write_lines};
use crate::support::{NO_FLAGS, Ran, finish, folder, have, jauge, program, replay, run, type_in};

/// Two files of events, each one half of a night.
fn halves(folder: &Path) -> [PathBuf; 2] {
    let all = events(&rough(3));
    let (first, second) = all.split_at(all.len() / 2);
    let files = ["one.ndjson", "two.ndjson"].map(|name| folder.join(name));
    write_lines(&files[0], first, &[]);
    write_lines(&files[1], second, &[]);
    files
}

#[track_caller]
fn same_tables(one: &Path, other: &Path) {
    for name in ["airings", "minutes", "retweets"] {
        let rows = |dir| {
            let mut table = data_directory::table(dir, name).unwrap();
            table.rows.sort();
            table.rows
        };
        assert!(!rows(one).is_empty() && rows(one) == rows(other), "{name}");
    }
}

#[test]
fn several_pipes_are_inputs_as_files_are() {
    let Some(_) = have(program("bash")) else { return };
    let folder = folder();
    replay(halves(folder.path()), &folder.path().join("files"), NO_FLAGS).exits(0);
    for (out, line) in [
        ("pipes", "jauge replay <(cat one.ndjson) <(gzip -c two.ndjson)"),
        ("stdin", "cat one.ndjson | jauge replay --lanes 1 - <(cat two.ndjson)"),
        // Whoever writes to the second comes to it when the first is read.
        ("named", "mkfifo p q; (cat one.ndjson > p; cat two.ndjson > q) & jauge replay --lanes 1 p q"),
    ] {
        type_in("bash", folder.path(), &format!("{line} --out {out}")).exits(0);
        same_tables(&folder.path().join("files"), &folder.path().join(out));
    }
}

#[test]
fn one_pipe_is_named_once() {
    let folder = folder();
    halves(folder.path());
    let said = |line: &str| type_in("sh", folder.path(), line).exits(2);
    said("cat one.ndjson | jauge replay - - --out out").says(&["only once", "<("]);
    said("cat one.ndjson | jauge replay - /dev/stdin --out out").says(&["/dev/stdin and -", "same pipe"]);
    said("mkfifo p; jauge replay p ./p --out out").says(&["./p and p", "same pipe"]);
    assert!(!folder.path().join("out").exists());
}

#[test]
fn names_need_not_be_text() {
    let folder = folder();
    let odd = |name: &[u8]| folder.path().join(OsStr::from_bytes(name));
    let [one, two] = halves(folder.path());
    let inputs = [odd(b"\xff-one.ndjson"), odd(b"two\xfe.ndjson.gz")];
    fs::rename(one, &inputs[0]).unwrap();
    fs::rename(two, &inputs[1]).unwrap();
    let out = folder.path().join("out");
    replay(&inputs, &out, NO_FLAGS).exits(0);
    // A setting is text.
    let refused = replay(&inputs, &odd(b"o\xfft"), NO_FLAGS).exits(2).says(&["--out", "not UTF-8"]);
    assert!(refused.stderr.contains(r"o\377t"), "{}", refused.stderr);
    assert!(!odd(b"o\xfft").exists() && !odd("o\u{fffd}t".as_bytes()).exists());

    let moved = odd(b"m\xffved");
    fs::rename(&out, &moved).unwrap();
    let of = |command: &str, flags: &[&str]| -> Ran {
        run([OsString::from(command), moved.clone().into()].into_iter().chain(flags.iter().map(OsString::from)))
    };
    of("show", &[]).exits(0);
    of("verify", &[]).exits(0);
    of("rejected", &[]).exits(0);
    of("show", &["--files", "minutes", "--json"]).exits(2).says(&["not UTF-8"]);
    of("forget", &["--broadcast", "nuit-debout"]).exits(2).says(&["not UTF-8"]);
    assert!(!odd("m\u{fffd}ved".as_bytes()).exists(), "nobody else's directory was touched");
    // What is printed for other programs is the name itself.
    let mut line = Command::new("sh");
    line.args(["-c", "\"$0\" show \"$1\" --files minutes | xargs -d '\\n' ls"])
        .arg(env!("CARGO_BIN_EXE_jauge"))
        .arg(&moved);
    finish(line, &[]).exits(0);
}

#[test]
fn commands_that_are_said_can_be_pasted() {
    let folder = folder();
    halves(folder.path());
    // What follows a colon to the end of its line is what somebody copies.
    let pasted = |said: &str| {
        let (_, command) = said.split_once(": jauge").unwrap_or_else(|| panic!("no command: {said}"));
        type_in("sh", folder.path(), &format!("jauge{}", command.lines().next().unwrap())).exits(0)
    };
    for out in ["it's \"my\" $HOME", "-n", "~", "a  b;c&d"] {
        let name = out.replace('\'', r"'\''");
        let said = type_in(
            "sh",
            folder.path(),
            &format!("jauge replay one.ndjson '--out={}{name}'", if out == "~" { "./" } else { "" }),
        );
        let shown = pasted(&said.exits(0).stdout).stdout;
        assert!(shown.contains("nuit-debout"), "{shown}");
        let none = type_in("sh", folder.path(), &format!("jauge show --broadcast none -- '{name}'")).exits(2);
        assert_eq!(pasted(&none.stderr).stdout, shown);
    }
    fs::create_dir(folder.path().join("all of them")).unwrap();
    fs::rename(folder.path().join("one.ndjson"), folder.path().join("all of them/1.ndjson")).unwrap();
    let said = type_in("sh", folder.path(), "jauge replay 'all of them' --out out").exits(3).stderr;
    let (_, glob) = said.trim_end().split_once("for example ").unwrap();
    type_in("sh", folder.path(), &format!("jauge replay {glob} --out out")).exits(0);
}

#[test]
fn a_tilde_is_the_home_folder_where_no_shell_has_seen_it() {
    let folder = folder();
    halves(folder.path());
    fs::write(folder.path().join("j.toml"), "keys = '~/my keys'\n").unwrap();
    let with = |variables: &[(&str, &str)]| {
        let mut command = jauge();
        command.args(["replay", "one.ndjson"]).current_dir(folder.path()).env_remove("HOME");
        command.envs(variables.iter().copied());
        finish(command, &[])
    };
    let home = folder.path().to_str().unwrap();
    let said = with(&[("HOME", home), ("JAUGE_CONFIG", "~/j.toml"), ("JAUGE_OUT", "~/night")]).exits(0);
    assert!(said.stdout.contains(&format!("jauge show {home}/night\n")), "{}", said.stdout);
    assert!(folder.path().join("my keys").is_file() && !folder.path().join("~").exists());
    with(&[("JAUGE_OUT", "~/night")]).exits(2).says(&["JAUGE_OUT", "HOME is not set"]);
    with(&[("HOME", home), ("JAUGE_OUT", "~ana/night")]).exits(2).says(&["~ana/night", "only a shell knows"]);
    with(&[("JAUGE_CONFIG", "~/j.toml"), ("JAUGE_OUT", "night")]).exits(2).says(&["~/j.toml", "HOME is not set"]);
}

#[test]
fn variables_of_a_kubernetes_service_called_jauge_stop_nothing_and_a_slip_does() {
    let with = |variables: &[(&str, &str)]| {
        let mut command = jauge();
        command.arg("config").envs(variables.iter().copied());
        finish(command, &[])
    };
    let of_service = [
        ("JAUGE_SERVICE_HOST", "10.96.0.7"),
        ("JAUGE_SERVICE_PORT", "9090"),
        ("JAUGE_SERVICE_PORT_METRICS", "9090"),
        ("JAUGE_PORT", "tcp://10.96.0.7:9090"),
        ("JAUGE_PORT_9090_TCP", "tcp://10.96.0.7:9090"),
        ("JAUGE_PORT_9090_TCP_PROTO", "tcp"),
        ("JAUGE_PORT_9090_TCP_PORT", "9090"),
        ("JAUGE_PORT_9090_TCP_ADDR", "10.96.0.7"),
    ];
    with(&of_service).exits(0);
    with(&[("JAUGE_LISTEN_PORT", "9090")]).exits(2).says(&["JAUGE_LISTEN_PORT", "nearest is JAUGE_LISTEN."]);
    with(&[("JAUGE_PORT", "9090")]).exits(2).says(&["Unknown environment variable JAUGE_PORT"]);
}
