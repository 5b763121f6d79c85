//! The fuzz targets: everything that reads bytes from outside, each as one function that takes any bytes and panics only where the product
//! is wrong. They run under libFuzzer, and as plain tests.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use audience::{Decoder, Details, Key, Registry, fingerprint};
use exporter::{Chain, KeyFile, Store, Table, TableError, TableFile, audit_chain};

/// A folder of this process.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a temporary folder can be made")).path()
}

/// One event, as Kafka or a file brings it: the quick and the strict path say the same of it.
pub(crate) fn decoder(bytes: &[u8]) {
    let registry = Arc::new(Registry::new(|| Key([7; 16])));
    let (mut quick, mut strict) = (Decoder::new(Arc::clone(&registry)), Decoder::strict(registry));
    // Twice, since the quick path tries the order of the keys of the event before.
    for _ in 0..2 {
        let (mut quick_details, mut strict_details) = (Details::new(), Details::new());
        let (one, other) = (quick.decode(bytes, &mut quick_details), strict.decode(bytes, &mut strict_details));
        assert_eq!(one, other, "quick and strict disagree");
        if let Ok(event) = one {
            assert_eq!(quick_details.get(event.detail), strict_details.get(event.detail), "in a detail");
            let times = audience::time::TS_MIN..audience::time::TS_END;
            assert!(times.contains(&event.ts()), "an event of an impossible time");
        }
    }
}

/// The first manifest of a directory: as it is, and with its checksum made right, so that what is behind the checksum is read, too.
pub(crate) fn manifest(bytes: &[u8]) {
    let dir = folder().join("manifest");
    fs::create_dir_all(dir.join("commits/main")).expect("a folder can be made");
    let store = Store::open(&dir).expect("it is a folder");
    for bytes in [bytes.to_vec(), sealed(bytes)] {
        fs::write(dir.join("commits/main/00000000000000000001.json"), &bytes).expect("a file can be written");
        let (opened, audited) = (Chain::open(&store, "main"), audit_chain(&store));
        for code in opened.err().map(|e| e.exit_code()).into_iter().chain(audited.err().map(|e| e.exit_code())) {
            assert!(matches!(code, 3 | 4), "exit code {code} for a manifest that cannot be read");
        }
    }
}

/// A manifest's bytes with the checksum that they should have.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    const SEAL: &[u8] = b",\"checksum\":\"";
    let end = bytes.windows(SEAL.len()).rposition(|part| part == SEAL).unwrap_or(bytes.len());
    let body = &bytes[..end];
    [body, SEAL, blake3::hash(body).to_hex().as_bytes(), b"\"}\n"].concat()
}

/// The key file: it is refused, or gives the same keys each time that it is opened.
pub(crate) fn keys(bytes: &[u8]) {
    let path = folder().join("keys");
    fs::write(&path, bytes).expect("a file can be written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
    match KeyFile::open(&path) {
        Ok((_, keys)) => {
            let (_, again) = KeyFile::open(&path).expect("what was read is read again");
            assert_eq!(keys, again, "the keys have changed");
        }
        Err(error) => assert_eq!(error.exit_code(), 4, "{error}"),
    }
}

/// A Parquet file, taken for each of the tables: rows, or an error that says whose fault it is.
pub(crate) fn tables(bytes: &[u8]) {
    for table in Table::ALL {
        if let Err(error) = rows(table, bytes::Bytes::copy_from_slice(bytes)) {
            assert_eq!(error.exit_code(), 4, "{table}: {error}");
        }
    }
}

/// Reads all rows of a file; how many there are, or the first error.
pub(crate) fn rows(table: Table, bytes: bytes::Bytes) -> Result<usize, TableError> {
    let file = TableFile::open(table, "fuzzed.parquet", bytes)?;
    let number = |_: &str| 0;
    let mut count = 0;
    match table {
        Table::Airings => file.airings(number)?.try_for_each(|rows| rows.map(|rows| count += rows.len()))?,
        Table::Minutes | Table::Live => {
            file.minutes(number)?.try_for_each(|rows| rows.map(|rows| count += rows.len()))?;
        }
        Table::Corrections => file.corrections(number)?.try_for_each(|rows| rows.map(|rows| count += rows.len()))?,
        Table::Sessions => file.sessions(number)?.try_for_each(|rows| rows.map(|(rows, _)| count += rows.len()))?,
        Table::Retweets => file.retweets(number)?.try_for_each(|rows| rows.map(|(rows, _)| count += rows.len()))?,
        Table::Rejected => file.rejected()?.try_for_each(|rows| rows.map(|rows| count += rows.len()))?,
        Table::Events => {
            let batches = file.events(number, number, fingerprint)?;
            batches.into_iter().try_for_each(|rows| rows.map(|(rows, _)| count += rows.len()))?;
        }
    }
    Ok(count)
}
