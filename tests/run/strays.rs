//! What others leave among our files: it is passed over by all who read or write there, stays where it is, and `verify`
//! notes it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Topic, join, leave, settled};
use crate::reference::NaiveEvent;
use crate::support::{files_under, folder, run};

fn crowd(broadcast: &str) -> Vec<NaiveEvent> {
    let events = (0..20).flat_map(|n| [join(&n.to_string(), n * 10), leave(&n.to_string(), n * 10 + 50_000)]);
    events.map(|event| NaiveEvent { broadcast: broadcast.into(), ..event }).collect()
}

/// The folder of the first file of a table.
fn folder_of(out: &Path, table: &str) -> PathBuf {
    files_under(&out.join(table)).first().unwrap().parent().unwrap().to_owned()
}

/// What a file manager, an editor, NFS, macOS, Windows and a NAS leave in a folder.
fn litter(place: &Path) -> Vec<PathBuf> {
    let first = files_under(place).first().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let number = first.split(['-', '.']).next().unwrap();
    let names = [
        ".DS_Store".to_owned(),
        ".nfs00000000010203040000beef".to_owned(),
        format!(".{first}.swp"),
        format!("{first}~"),
        format!("._{first}"),
        format!("{number}.tmp"),
        "Thumbs.db".to_owned(),
        "desktop.ini".to_owned(),
        "Icon\r".to_owned(),
        "notes.txt".to_owned(),
    ];
    let mut left: Vec<PathBuf> = names.iter().map(|name| place.join(name)).collect();
    // What a NAS or a file system keeps of us, in folders of its own.
    for within in [".snapshot/hourly.0", "@eaDir", "lost+found"] {
        let within = place.join(within);
        fs::create_dir_all(&within).unwrap();
        left.push(within.join(&first));
    }
    for path in &left {
        fs::write(path, "no data").unwrap();
    }
    left
}

#[test]
fn what_cannot_be_ours_stays_and_is_passed_over() {
    let (_broker, topic) = Topic::embedded(1);
    topic.send_events(&crowd("a"));
    let folder = folder();
    let out = folder.path().join("run");
    topic.until_end(&out, &[]).exits(0);
    let shown = || run(["show".into(), out.clone().into(), "--json".into()]).exits(0).stdout;
    let before = shown();
    let mut left = litter(&out.join("commits/main"));
    left.extend(["events", "minutes"].iter().flat_map(|table| litter(&folder_of(&out, table))));
    fs::create_dir_all(out.join("commits/.Trashes")).unwrap();
    left.push(out.join("commits/.DS_Store"));
    left.push(out.join("minutes/.DS_Store"));
    left.iter().for_each(|path| fs::write(path, "no data").unwrap());
    assert_eq!(shown(), before);
    let verified = || run(["verify".into(), out.clone().into()]).exits(0).stdout;
    let said = verified().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("not jauge's, and were passed over") && said.contains("commits/"), "{said}");
    // A run goes on with it all, and what was left is not its to remove.
    topic.send_events(&crowd("b"));
    topic.until_end(&out, &[]).exits(0);
    let gone: Vec<_> = left.iter().filter(|path| !path.exists()).collect();
    assert!(gone.is_empty(), "removed: {gone:?}");
    left.iter().for_each(|path| fs::remove_file(path).unwrap());
    settled(&topic, &out, &[crowd("a"), crowd("b")].concat(), "with what others left");
}

#[test]
fn what_could_be_ours_is_damage_with_its_own_advice() {
    let (_broker, topic) = Topic::embedded(1);
    topic.send_events(&crowd("a"));
    let folder = folder();
    let out = folder.path().join("run");
    topic.until_end(&out, &[]).exits(0);
    let verify = || run(["verify".into(), out.clone().into()]);
    let commits = out.join("commits/main");
    let newest = files_under(&commits).pop().unwrap();
    let stem = newest.file_stem().unwrap().to_str().unwrap();
    // A copy by hand, by a synchroniser, or one whose name lost a digit.
    for name in
        [format!("{stem} (1).json"), "copy.json".into(), format!("{stem}.json.bak"), format!("{}.json", &stem[1..])]
    {
        let copy = commits.join(&name);
        fs::copy(&newest, &copy).unwrap();
        for ran in [verify(), topic.until_end(&out, &[])] {
            let ran = ran.exits(4).says(&[&name, "is not the name of a commit", "move it elsewhere"]);
            assert!(!ran.stderr.contains("from a copy"), "{}", ran.stderr);
        }
        fs::remove_file(&copy).unwrap();
    }
    // Numbers that do not go on: commits are missing.
    let far = commits.join("00000000000000000099.json");
    fs::rename(&newest, &far).unwrap();
    verify().exits(4).says(&[stem, "00000000000000000099.json", "restore it from a copy"]);
    fs::rename(&far, &newest).unwrap();
    // Rows of somebody else, which every reader of the folder would count.
    for name in ["mine.parquet", "00000000000000000042-0000.parquet", "00000000000000000001-0000.parquet.bak"] {
        let mine = folder_of(&out, "minutes").join(name);
        fs::copy(&files_under(&out.join("minutes"))[0], &mine).unwrap();
        let ran = verify().exits(4).says(&[name, "no commit names it", "move it elsewhere"]);
        assert!(ran.stderr.contains("if commits were lost"), "{}", ran.stderr);
        fs::remove_file(&mine).unwrap();
    }
    verify().exits(0);
}
