//! Other object stores than S3: the same commands on `az://` against Azurite, and on `gs://` against the stub, which
//! takes Google's condition, too. Two writers in each, for everything rests on a name being given once.

use std::fs;
use std::process::Command;

use super::OFTEN;
use crate::azure::{Azurite, CONTAINER};
use crate::random_events::Scene;
use crate::replay::flags;
use crate::run::{RULES, Running, SOON, Topic, join, leave, strs, with_rules};
use crate::s3::{BUCKET, Stub};
use crate::support::{Ran, finish, folder, have, jauge};

/// A place in a cloud, and how a command is told of it: by the environment.
struct Cloud {
    url: String,
    told: Vec<(&'static str, String)>,
}

impl Cloud {
    fn place(&self, prefix: &str) -> String {
        format!("{}/{prefix}", self.url)
    }

    fn tell(&self, mut command: Command) -> Command {
        for (name, _) in std::env::vars_os() {
            if ["AZURE_", "AZURITE_", "GOOGLE_"]
                .iter()
                .any(|cloud| name.as_encoded_bytes().starts_with(cloud.as_bytes()))
            {
                command.env_remove(name);
            }
        }
        command.envs(self.told.iter().map(|(name, value)| (name, value)));
        command
    }

    fn jauge(&self, args: &[&str]) -> Ran {
        let mut command = jauge();
        command.args(args);
        finish(self.tell(command), &[])
    }
}

/// What `jauge show` says of a place is what it says of a folder on the disk, and `verify` finds nothing wrong.
#[track_caller]
fn is_as(cloud: &Cloud, place: &str, local: &str) {
    cloud.jauge(&["verify", place]).exits(0);
    let shown = cloud.jauge(&["show", place, "--json"]).exits(0).stdout;
    assert_eq!(shown, cloud.jauge(&["show", local, "--json"]).exits(0).stdout);
}

fn replays(cloud: &Cloud) {
    let (scene, folder) = (Scene::new(4), folder());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (file, local, there) = (path("events.ndjson"), path("local"), cloud.place("replay"));
    fs::write(&file, scene.lines().join("\n")).unwrap();
    let rules = flags(scene.rules);
    cloud.jauge(&[&["replay", &file, "--out", &local][..], &strs(&rules)].concat()).exits(0);
    let keys = path("keys");
    let again = || cloud.jauge(&[&["replay", &file, "--out", &there, "--keys", &keys][..], &strs(&rules)].concat());
    again().exits(0);
    is_as(cloud, &there, &local);
    again().exits(3).says(&["holds data already", &there]);
}

fn runs(cloud: &Cloud) {
    let (_broker, topic) = Topic::embedded(2);
    let folder = folder();
    let (there, local, keys) = (cloud.place("run"), folder.path().join("local"), folder.path().join("keys"));
    let with = with_rules(RULES, &OFTEN);
    let command = |keys: &std::path::Path, flags: &[&str]| {
        let mut command = topic.command(there.as_ref(), flags);
        command.arg("--keys").arg(keys);
        cloud.tell(command)
    };
    let events = [join("a", 0), join("b", 1_000), leave("a", 60_000), leave("b", 90_000)];
    topic.send_events(&events[..1]);
    let mut running = Running::start(command(&keys, &strs(&with)));
    running.wait_until_read(1);
    running.signal("KILL");
    running.ends(SOON);
    topic.send_events(&events[1..2]);
    let mut first = Running::start(command(&keys, &strs(&with)));
    first.wait_until_read(2);
    // On another machine, with a copy of the keys.
    let copy = folder.path().join("copied-keys");
    fs::copy(&keys, &copy).unwrap();
    let mut second = Running::start(command(&copy, &strs(&with)));
    second.wait_for("sign of going on", |line| line.contains("Going on"));
    topic.send_events(&events[2..]);
    let said = first.exits(3, SOON);
    assert!(said.contains("another jauge") && said.contains("has taken the directory over"), "{said}");
    second.wait_until_read(4);
    second.stop();
    finish(command(&copy, &["--until-end"]), &[]).exits(0);
    topic.until_end(&local, &[]).exits(0);
    is_as(cloud, &there, local.to_str().unwrap());
}

#[test]
fn azure_is_as_a_disk_and_fences() {
    if !super::built() {
        return;
    }
    let Some(azurite) = have(Azurite::shared()) else { return };
    let told = vec![
        ("AZURE_STORAGE_USE_EMULATOR", "true".to_owned()),
        ("AZURITE_BLOB_STORAGE_URL", azurite.url.clone()),
        ("AZURE_ALLOW_HTTP", "true".to_owned()),
    ];
    let cloud = Cloud { url: format!("az://{CONTAINER}"), told };
    replays(&cloud);
    runs(&cloud);
    cloud.jauge(&["verify", "az://no-such-container/p"]).exits(3).says(&["no-such-container", "no such bucket"]);
}

#[test]
fn google_is_as_a_disk_and_fences_as_far_as_a_stub_can_tell() {
    if !super::built() {
        return;
    }
    let (stub, folder) = (Stub::start(), folder());
    let account = folder.path().join("account.json");
    let base = format!("http://{}", stub.endpoint.0);
    let said = serde_json::json!({
        "gcs_base_url": base, "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""
    });
    fs::write(&account, said.to_string()).unwrap();
    let told = vec![("GOOGLE_SERVICE_ACCOUNT", account.to_str().unwrap().to_owned())];
    let cloud = Cloud { url: format!("gs://{BUCKET}"), told };
    replays(&cloud);
    runs(&cloud);
}
