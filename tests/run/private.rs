//! What is private on disks that others mount and mend: the modes that Kubernetes' `fsGroup` leaves, key files of a
//! Secret, and those that can only be read. Each time it goes on where it may, and says what it did or what to do.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Topic, join, leave, verified};
use crate::reference::NaiveEvent;
use crate::support::{Need, Ran, clear_settings, finish, folder, have, program, replay, run};

/// Nobody's user id, as far as anybody else is concerned.
const OTHER: u32 = 65_534;

fn crowd(broadcast: &str) -> Vec<NaiveEvent> {
    let events = (0..20).flat_map(|n| [join(&n.to_string(), n * 10), leave(&n.to_string(), n * 10 + 50_000)]);
    events.map(|event| NaiveEvent { broadcast: broadcast.into(), ..event }).collect()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A topic with a broadcast `b` and a record that is no event.
fn topic() -> (ingester::embedded::EmbeddedBroker, Topic) {
    let (broker, topic) = Topic::embedded(1);
    topic.send_events(&crowd("b"));
    send_no_event(&topic);
    (broker, topic)
}

fn send_no_event(topic: &Topic) {
    topic.send(0, Some(b"no event"));
    topic.flush();
}

#[test]
fn the_modes_that_an_fs_group_leaves_are_mended_and_that_is_said() {
    let (_broker, topic) = topic();
    let folder = folder();
    let out = folder.path().join("run");
    let (keys, rejected) = (out.join("keys"), out.join("rejected"));
    topic.until_end(&out, &[]).exits(0);
    assert_eq!((mode(&keys), mode(&rejected)), (0o600, 0o700));
    // What the kubelet does to each file and folder of a volume, at each mount.
    for (path, left) in [(&keys, 0o660), (&rejected, 0o2770), (&out.join("lock"), 0o664), (&out, 0o2775)] {
        set_mode(path, left);
    }
    send_no_event(&topic);
    let said = topic.until_end(&out, &[]).exits(0).stderr;
    for (path, had, has) in [(&keys, "0660", "0600"), (&rejected, "2770", "0700")] {
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(path.to_str().unwrap())).collect();
        assert!(lines.len() == 1 && lines[0].contains(had) && lines[0].contains(has), "{said}");
    }
    assert_eq!((mode(&keys), mode(&rejected)), (0o600, 0o700));
    let said = topic.until_end(&out, &[]).exits(0).stderr;
    assert!(!said.contains("mode"), "said once: {said}");
    // Where its group shall read it, it stays as it is.
    set_mode(&keys, 0o640);
    set_mode(&rejected, 0o750);
    send_no_event(&topic);
    let said = topic.until_end(&out, &["--private-to=group"]).exits(0).stderr;
    assert!(!said.contains("mode") && (mode(&keys), mode(&rejected)) == (0o640, 0o750), "{said}");
    // What everybody may read is not hidden again as if nothing had been.
    set_mode(&keys, 0o644);
    topic.until_end(&out, &["--private-to=group"]).exits(3).says(&["mode 0644", "chmod 600", "who has read it"]);
    set_mode(&keys, 0o660);
    let forget = ["forget".into(), out.clone().into(), "--broadcast=b".into()];
    run(forget).exits(0).says(&["0660", "0600 now"]);
    verified(&out);
}

#[test]
fn a_replay_says_on_stderr_what_it_mended() {
    let folder = folder();
    let (events, keys) = (folder.path().join("events.ndjson"), folder.path().join("keys"));
    fs::write(&events, super::line(&join("a", 0))).unwrap();
    fs::write(&keys, "").unwrap();
    set_mode(&keys, 0o640);
    let flags = ["--keys".into(), keys.clone().into_os_string()];
    replay([&events], &folder.path().join("out"), flags).exits(0).says(&["0640", "0600 now"]);
    assert_eq!(mode(&keys), 0o600);
}

/// Who runs `jauge` without the rights of root over what belongs to others; files that belong to others can be made.
struct Plain {
    setpriv: PathBuf,
}

impl Plain {
    fn new(folder: &Path) -> Need<Plain> {
        let setpriv = program("setpriv")?;
        let probe = folder.join("of-others");
        fs::write(&probe, "").unwrap();
        chown(&probe, Some(OTHER), None).map_err(|error| format!("the right to give files to others: {error}"))?;
        let plain = Plain { setpriv };
        let ran = finish(plain.command("true"), &[]);
        if ran.code == Some(0) { Ok(plain) } else { Err(format!("the right to drop rights: {}", ran.stderr.trim())) }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(&self.setpriv);
        clear_settings(&mut command);
        command.args(["--bounding-set=-all", "--inh-caps=-all", program]);
        command
    }

    fn until_end(&self, topic: &Topic, out: &Path, flags: &[&str]) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_jauge"));
        command.args(["run", "--until-end", "--brokers", &topic.address, "--topic", &topic.name, "--out"]).arg(out);
        command.args(flags);
        finish(command, &[])
    }
}

/// Gives it to somebody else; our group may do what `mode` says.
fn give_away(path: &Path, mode: u32) {
    set_mode(path, mode);
    chown(path, Some(OTHER), None).unwrap();
}

#[test]
fn a_key_file_of_a_secret_is_read_where_that_is_chosen() {
    let folder = folder();
    let Some(plain) = have(Plain::new(folder.path())) else { return };
    let (_broker, topic) = topic();
    let (out, keys) = (folder.path().join("run"), folder.path().join("keys"));
    let with = ["--pseudonyms=directory", "--keys", keys.to_str().unwrap()];
    let group = [&with[..], &["--private-to=group"]].concat();
    topic.until_end(&out, &with).exits(0);
    give_away(&keys, 0o440);
    plain.until_end(&topic, &out, &with).exits(3).says(&["mode 0440", "private_to = \"group\"", "not permitted"]);
    // One key for all is there, so any broadcast can come.
    topic.send_events(&crowd("c"));
    let said = plain.until_end(&topic, &out, &group).exits(0).stderr;
    assert!(!said.contains("key file"), "{said}");
    // Somebody has written it by hand, without the end of its last line.
    let text = fs::read_to_string(&keys).unwrap();
    fs::write(&keys, text.trim_end()).unwrap();
    plain.until_end(&topic, &out, &group).exits(0);
    set_mode(&keys, 0o444);
    plain.until_end(&topic, &out, &group).exits(3).says(&["mode 0444", "defaultMode"]);
    verified(&out);
}

#[test]
fn a_key_file_that_can_only_be_read_will_do_until_a_key_is_needed() {
    let folder = folder();
    let Some(plain) = have(Plain::new(folder.path())) else { return };
    let (_broker, topic) = topic();
    let (out, keys) = (folder.path().join("run"), folder.path().join("keys"));
    let flags = ["--private-to=group", "--keys", keys.to_str().unwrap()];
    topic.until_end(&out, &flags).exits(0);
    give_away(&keys, 0o440);
    topic.send_events(&[join("late", 90_000)]);
    let said = plain.until_end(&topic, &out, &flags).exits(0).stderr;
    assert!(said.contains("can only be read (permission denied)"), "{said}");
    topic.send_events(&crowd("new"));
    let said = plain.until_end(&topic, &out, &flags).exits(3).stderr;
    assert!(said.contains("a broadcast that is new needs a key") && said.contains("--keys"), "{said}");
    let mut forget = plain.command(env!("CARGO_BIN_EXE_jauge"));
    forget.arg("forget").arg(&out).arg("--broadcast=b").args(flags);
    finish(forget, &[]).exits(3).says(&["can only be read", "no key can be destroyed"]);
    // Nothing was lost: with a copy that can be written to it goes on.
    let copy = folder.path().join("copy");
    fs::copy(&keys, &copy).unwrap();
    set_mode(&copy, 0o600);
    plain.until_end(&topic, &out, &["--keys", copy.to_str().unwrap()]).exits(0);
    verified(&out);
    // Where there is none and none can be made.
    let place = folder.path().join("of-others.d");
    fs::create_dir(&place).unwrap();
    give_away(&place, 0o550);
    let none = place.join("keys");
    let ran = plain.until_end(&topic, &folder.path().join("other"), &["--keys", none.to_str().unwrap()]);
    ran.exits(3).says(&["there is no key file", "none can be made", "--keys"]);
}

#[test]
fn a_folder_of_rejected_events_of_somebody_else_is_used_where_that_is_chosen() {
    let folder = folder();
    let Some(plain) = have(Plain::new(folder.path())) else { return };
    let (_broker, topic) = topic();
    let out = folder.path().join("run");
    topic.until_end(&out, &[]).exits(0);
    for entry in fs::read_dir(out.join("rejected")).unwrap() {
        give_away(&entry.unwrap().path(), 0o2770);
    }
    give_away(&out.join("rejected"), 0o2770);
    send_no_event(&topic);
    plain.until_end(&topic, &out, &[]).exits(3).says(&["rejected", "mode 2770", "private_to = \"group\""]);
    plain.until_end(&topic, &out, &["--private-to=group"]).exits(0);
    assert_eq!(mode(&out.join("rejected")), 0o2770);
    verified(&out);
}
