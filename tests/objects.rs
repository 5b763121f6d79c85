//! A data directory in an object store: the same tables as on a disk, whatever goes wrong with its requests,
//! and a sentence where it cannot be used. Without the feature `object-stores` these tests hold only that a
//! URL is refused by name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use storage::{CommitKind, Draft};

use crate::data_directory;
use crate::docs::pages::document;
use crate::random_events::Scene;
use crate::readers::python;
use crate::reference;
use crate::replay::flags;
use crate::s3::{BUCKET, Endpoint, Fault, Moto, Stub};
use crate::support::{clear_settings, finish, folder, have, run, say, seeds};
use crate::tables::Tables;

/// Whether the binary under test knows object stores; where it does not, that it says so.
pub(crate) fn built() -> bool {
    if !cfg!(feature = "object-stores") {
        for command in ["verify", "show"] {
            let ran = run([command.into(), "s3://bucket/prefix".into()]).exits(2);
            ran.says(&["s3://bucket/prefix", "--features object-stores"]);
        }
    }
    cfg!(feature = "object-stores")
}

/// A scene's events in a file, with two lines that are none.
fn events(scene: &Scene, folder: &Path) -> PathBuf {
    let file = folder.join("events.ndjson");
    fs::write(&file, scene.lines().join("\n") + "\n{}\nno JSON\n").unwrap();
    file
}

/// `jauge replay` to a prefix of the bucket.
fn replay(endpoint: &Endpoint, scene: &Scene, folder: &Path, prefix: &str) -> crate::support::Ran {
    let (file, keys) = (events(scene, folder), folder.join("keys"));
    let url = format!("s3://{BUCKET}/{prefix}");
    let mut args = vec!["replay", file.to_str().unwrap(), "--out", &url, "--keys", keys.to_str().unwrap()];
    let flags = flags(scene.rules);
    args.extend(flags.iter().map(String::as_str));
    endpoint.jauge(args)
}

/// What lies under a prefix is what the reference says, `verify` finds nothing wrong, and `show` shows what it
/// shows of a copy on the disk.
#[track_caller]
fn expect(endpoint: &Endpoint, scene: &Scene, folder: &Path, prefix: &str, context: &str) {
    let (url, copy) = (format!("s3://{BUCKET}/{prefix}"), folder.join(format!("copy-{}", prefix.replace('/', "-"))));
    endpoint.jauge(["verify", &url]).exits(0);
    endpoint.download(prefix, &copy);
    let mut found = data_directory::read(&copy);
    assert_eq!((found.rejected.rows.len(), found.ledger.rejected), (2, 2), "{context}");
    found.rejected = Tables::empty().rejected;
    (found.ledger.read, found.ledger.rejected) = (found.ledger.read - 2, 0);
    Tables::assert_equal(&reference::settled(&scene.events, scene.rules), &found, context);
    let shown = endpoint.jauge(["show", &url, "--json"]).exits(0).stdout;
    let of_copy = endpoint.jauge(["show", copy.to_str().unwrap(), "--json"]).exits(0).stdout;
    assert_eq!(shown, of_copy, "{context}");
}

#[test]
fn a_replay_to_an_object_store_is_a_replay() {
    if !built() {
        return;
    }
    let Some(moto) = have(Moto::shared()) else { return };
    for seed in seeds(2) {
        let (scene, folder) = (Scene::new(seed), folder());
        let prefix = format!("replay/{seed}");
        replay(&moto.endpoint, &scene, folder.path(), &prefix).exits(0);
        expect(&moto.endpoint, &scene, folder.path(), &prefix, &format!("seed {seed}, in moto"));
        // It is not written twice.
        replay(&moto.endpoint, &scene, folder.path(), &prefix).exits(3).says(&["holds data already", &prefix]);
    }
}

#[test]
fn requests_may_go_wrong_in_every_way() {
    if !built() {
        return;
    }
    let stub = Stub::start();
    let faults = [
        Fault::Refused(503, "SlowDown"),
        Fault::Refused(409, "ConditionalRequestConflict"),
        Fault::Refused(412, "PreconditionFailed"),
        Fault::CutAfter,
        Fault::CutBefore,
        Fault::FailsAfter,
    ];
    let (scene, folder) = (Scene::new(7), folder());
    for (at, fault) in faults.into_iter().enumerate() {
        // The manifest is refused twice, or its reply lost; and so is every fifth request of another
        // kind that S3 may refuse so.
        let (mut manifests, mut others) = (0, 0);
        let only_creates = matches!(fault, Fault::Refused(409 | 412, _));
        stub.turns(move |method, target| {
            if method == "PUT" && target.contains("/commits/") {
                manifests += 1;
                return (manifests <= 2).then_some(fault);
            }
            others += 1;
            (others % 5 == 0 && !only_creates).then_some(fault)
        });
        let prefix = format!("faults/{at}");
        replay(&stub.endpoint, &scene, folder.path(), &prefix).exits(0);
        assert!(stub.struck() >= 2, "{fault:?}");
        stub.turns(|_, _| None);
        expect(&stub.endpoint, &scene, folder.path(), &prefix, &format!("{fault:?}"));
    }
}

#[test]
fn what_is_larger_than_a_request_goes_in_pieces() {
    if !built() {
        return;
    }
    let stub = Stub::start();
    let folder = folder();
    // Ids of 250 bytes that repeat nowhere: rejected rows keep them, and they are not compressed away.
    let mut state = 1_u64;
    let mut line = || {
        let mut text = String::new();
        while text.len() < 60_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text += &format!("{state:016x}");
        }
        text
    };
    let file = folder.path().join("noise.ndjson");
    fs::write(&file, (0..700).map(|_| line() + "\n").collect::<String>()).unwrap();
    let url = format!("s3://{BUCKET}/large");
    let keys = folder.path().join("keys");
    let mut cut = 0;
    stub.turns(move |method, target| {
        let completes = method == "POST" && target.contains("uploadId");
        cut += usize::from(completes);
        (completes && cut == 1).then_some(Fault::CutAfter)
    });
    let args = ["replay", file.to_str().unwrap(), "--out", &url, "--keys", keys.to_str().unwrap()];
    stub.endpoint.jauge(args).exits(0);
    assert_eq!(
        (stub.struck() > 0, stub.open_uploads()),
        (true, 0),
        "an upload was completed twice, and none is left open"
    );
    stub.turns(|_, _| None);
    stub.endpoint.jauge(["verify", &url]).exits(0);
    stub.endpoint.download("large", &folder.path().join("copy"));
    let rows = data_directory::table(&folder.path().join("copy"), "rejected").unwrap().rows.len();
    assert_eq!(rows, 700);
}

/// As many commits as may come before one restates all, and none of them says anything.
fn long_chain(endpoint: &Endpoint, folder: &Path, prefix: &str) -> u64 {
    let last = 2 * storage::RESTATE_EVERY - 1;
    let store = storage::Store::create(&folder.join("long")).unwrap();
    let identity = storage::Identity {
        writer: "main".into(),
        incarnation: 1,
        version: env!("CARGO_PKG_VERSION").into(),
        config: String::new(),
    };
    let mut owner = storage::Committer::take(&store, identity, 1).unwrap();
    for at in 1..=last {
        let at = i64::try_from(at).unwrap();
        let newest = owner.chain().newest();
        let draft =
            newest.map_or_else(|| Draft::first(CommitKind::Run, at), |it| Draft::after(it, CommitKind::Run, at));
        owner.publish(&owner.begin(), &draft).unwrap();
    }
    for number in 1..=last {
        let path = storage::manifest_path("main", number);
        endpoint.set(&format!("{prefix}/{path}"), Some(&fs::read(store.path(&path)).unwrap()));
    }
    last
}

#[test]
fn a_long_chain_opens_soon_though_the_store_is_far() {
    if !built() {
        return;
    }
    let (stub, folder) = (Stub::start(), folder());
    let last = long_chain(&stub.endpoint, folder.path(), "long");
    let latency = Duration::from_millis(20);
    stub.is_far(latency);
    let began = Instant::now();
    stub.endpoint.jauge(["show", &format!("s3://{BUCKET}/long"), "--files", "events"]).exits(0);
    let (took, asked) = (began.elapsed(), stub.requests());
    say(&format!("a chain of {last} commits, {latency:?} a request: opened in {took:?}, with {asked} requests"));
    // One after the other they would take 20 s. Some are for the bucket, the list, and the search for
    // the last that restates.
    assert!(asked <= 1_010 && took < Duration::from_secs(10), "{asked} requests in {took:?}");
}

#[test]
fn other_readers_find_the_files_by_their_list() {
    if !built() {
        return;
    }
    let (Some(moto), Some(python)) = (have(Moto::shared()), have(python())) else { return };
    let (scene, folder) = (Scene::new(3), folder());
    replay(&moto.endpoint, &scene, folder.path(), "listed").exits(0);
    let url = format!("s3://{BUCKET}/listed");
    let listed = moto.endpoint.jauge(["show", &url, "--files", "sessions"]).exits(0).stdout;
    assert!(listed.lines().all(|line| line.starts_with(&url) && line.ends_with(".parquet")), "{listed}");
    let read = "import sys, polars
options = {'aws_endpoint_url': sys.argv[1], 'aws_access_key_id': 'testing', 'aws_secret_access_key': 'testing',
           'aws_region': 'us-east-1', 'aws_allow_http': 'true'}
print(polars.scan_parquet(sys.stdin.read().split(), storage_options=options).collect().height)";
    let mut command = Command::new(python);
    command.args(["-c", read]).arg(format!("http://{}", moto.endpoint.0));
    let rows = finish(command, listed.as_bytes()).exits(0).stdout;
    assert_eq!(rows.trim(), reference::settled(&scene.events, scene.rules).sessions.rows.len().to_string());
}

#[test]
fn what_is_wrong_is_said_in_a_sentence() {
    if !built() {
        return;
    }
    let stub = Stub::start();
    let nowhere = Endpoint("127.0.0.1:1".to_owned());
    let url = format!("s3://{BUCKET}/p");
    for command in ["verify", "show"] {
        stub.endpoint.jauge([command, "s3://no-such-bucket/p"]).exits(3).says(&["no-such-bucket", "no such bucket"]);
        stub.endpoint.jauge([command, &url]).exits(3).says(&["holds no commit"]);
    }
    nowhere.jauge(["verify", &url]).exits(3).says(&["does not answer", "AWS_ENDPOINT", &url]);
    for (status, code, says) in [
        (403, "AccessDenied", "denies it"),
        (403, "SignatureDoesNotMatch", "does not know the credentials"),
        (503, "SlowDown", "has no time"),
    ] {
        stub.turns(move |_, _| Some(Fault::Refused(status, code)));
        stub.endpoint.jauge(["verify", &url]).exits(3).says(&[says]);
    }
    stub.turns(|_, _| None);
    for (bad, says) in [("ftp://b/p", "scheme"), ("s3:///p", "bucket"), ("s3://b//p", "path")] {
        stub.endpoint.jauge(["verify", bad]).exits(2).says(&[bad, says]);
    }
    // Keys are on a disk, or nowhere.
    let (scene, folder) = (Scene::new(0), folder());
    let file = events(&scene, folder.path());
    stub.endpoint.jauge(["replay", file.to_str().unwrap(), "--out", &url]).exits(2).says(&["--keys", &url]);
    assert_eq!(stub.endpoint.keys("p"), [""; 0]);
}

#[test]
fn somebody_elses_files_are_not_written_beside() {
    if !built() {
        return;
    }
    let Some(moto) = have(Moto::shared()) else { return };
    let (scene, folder) = (Scene::new(1), folder());
    assert_eq!(moto.endpoint.ask("PUT", &format!("/{BUCKET}/foreign/holiday.jpg")).0, 200);
    replay(&moto.endpoint, &scene, folder.path(), "foreign").exits(3).says(&["holiday.jpg"]);
}

#[test]
fn the_example_of_the_documents_works() {
    if !built() {
        return;
    }
    let Some(moto) = have(Moto::shared()) else { return };
    let (folder, scene) = (folder(), Scene::new(2));
    events(&scene, folder.path());
    let lines = document("docs/operations.md").lines();
    let mut typed = 0;
    for line in lines.iter().filter(|line| line.text.contains("s3://") && !line.has("run")) {
        let mut shell = Command::new("sh");
        let binary = Path::new(env!("CARGO_BIN_EXE_jauge")).parent().unwrap().to_owned();
        let path =
            std::env::join_paths([binary].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())));
        shell.args(["-c", &line.text]).current_dir(folder.path()).env("PATH", path.unwrap());
        clear_settings(&mut shell);
        moto.endpoint.tell(&mut shell);
        finish(shell, &[]).exits(0);
        typed += 1;
    }
    assert!(typed >= 3, "{typed}");
}
