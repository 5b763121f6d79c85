//! Tests of a store, on the disk.

use super::*;
use problem::Failure;

#[test]
fn a_place_that_cannot_be_a_directory_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    std::fs::write(&file, "x").unwrap();
    for place in [&file, &file.join("below")] {
        let error = Store::create(place).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains(place.to_str().unwrap()), "{error}");
    }
    assert!(matches!(Store::open(&dir.path().join("none")), Err(StoreError::Absent { .. })));
    let error = Store::create(Path::new("ftp://bucket/data")).unwrap_err();
    assert_eq!((error.exit_code(), error.to_string().contains("ftp://bucket/data")), (2, true));
}

#[test]
fn a_file_url_is_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("file://{}/data", dir.path().display());
    let store = Store::create(Path::new(&url)).unwrap();
    assert!(store.is_local() && dir.path().join("data").is_dir());
    assert_eq!(store.path("commits"), dir.path().join("data/commits"));
}

#[test]
fn a_manifest_is_created_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(&dir.path().join("a/b")).unwrap();
    assert!(matches!(store.put_new("commits/main/1.json", b"one").unwrap(), Put::Created));
    assert!(matches!(store.put_new("commits/main/1.json", b"two").unwrap(), Put::Exists));
    assert_eq!(store.get("commits/main/1.json").unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(store.get("commits/main/2.json").unwrap(), None);
    assert_eq!(store.list("commits").unwrap(), (vec!["main".to_owned()], vec![]));
    assert_eq!(store.list("nothing").unwrap(), (vec![], vec![]));
    assert_eq!(store.walk("commits").unwrap(), ["commits/main/1.json"]);
}

#[cfg(unix)]
#[test]
fn a_private_folder_is_its_owners() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    std::fs::create_dir(dir.path().join("rejected")).unwrap();
    store.make_folder("rejected/date=2016-04-03", true).unwrap();
    let mode = |p: &str| std::fs::metadata(dir.path().join(p)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("rejected"), mode("rejected/date=2016-04-03")), (0o700, 0o700));
    store.make_folder("parts/rejected", true).unwrap();
    store.make_folder("minutes", false).unwrap();
    assert_eq!((mode("parts/rejected"), mode("parts")), (0o700, mode("minutes")));
}
