//! A seal is the last field of a manifest: the checksum of all bytes before it, by which no byte of the file can change
//! unseen.

use super::{
    error::ChainError,
    manifest::{CONTRACT, Manifest},
};
use serde::Deserialize;

const SEAL: &str = ",\"checksum\":\"";
const SEAL_END: &str = "\"}\n";
const HEX: usize = 64;

/// The bytes of a manifest's file, and its checksum set to theirs.
pub(crate) fn seal(manifest: &mut Manifest) -> Vec<u8> {
    manifest.checksum.clear();
    let mut bytes =
        serde_json::to_vec(manifest).expect("a manifest holds strings and numbers only, all of which JSON can say");
    bytes.truncate(bytes.len() - SEAL.len() - SEAL_END.len() + 1);
    manifest.checksum = blake3::hash(&bytes).to_hex().to_string();
    for piece in [SEAL, &manifest.checksum, SEAL_END] {
        bytes.extend_from_slice(piece.as_bytes());
    }
    bytes
}

/// Reads the manifest that is the bytes of the file `path`.
///
/// # Errors
/// [`ChainError::Damaged`] where a byte is not what was written; [`ChainError::Newer`] where a newer version wrote it.
pub(crate) fn unseal(path: &str, bytes: &[u8]) -> Result<Manifest, ChainError> {
    let damaged = |what: String| ChainError::damaged(path, what);
    let tail = SEAL.len() + HEX + SEAL_END.len();
    let (body, end) = bytes
        .split_at_checked(bytes.len().wrapping_sub(tail))
        .ok_or_else(|| damaged(format!("has {} bytes, too few for a manifest", bytes.len())))?;
    let checksum = blake3::hash(body).to_hex();
    if end != format!("{SEAL}{checksum}{SEAL_END}").as_bytes() {
        return Err(damaged("its bytes do not match its checksum".to_owned()));
    }
    // From here on the bytes are as they were written: what cannot be read was written by another version.
    let said: Said = serde_json::from_slice(bytes).map_err(|error| damaged(format!("is no manifest: {error}")))?;
    let newer = |why| ChainError::Newer { path: path.to_owned(), version: said.version.clone(), why };
    if said.contract > CONTRACT {
        return Err(newer(format!("contract {}, this is contract {CONTRACT}", said.contract)));
    }
    serde_json::from_slice(bytes).map_err(|error| newer(error.to_string()))
}

/// What every version of the format says alike.
#[derive(Deserialize)]
struct Said {
    contract: u32,
    version: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commits::manifest::*;
    use problem::Failure;

    fn manifest() -> Manifest {
        let partition = InputPartition { topic: "t\"é".into(), to: i64::MAX, ..InputPartition::default() };
        Manifest {
            contract: CONTRACT,
            version: "0.1.0".into(),
            config: "c".into(),
            writer: "main".into(),
            incarnation: "00".into(),
            number: 2,
            parent: Some(Parent { number: 1, checksum: "p".into() }),
            created_at: 1_459_711_860_007,
            kind: CommitKind::Run,
            tables: TABLES.map(str::to_owned).into(),
            inputs: Inputs { partitions: vec![partition], sources: vec![Source::default()] },
            watermark: Some(-1),
            counts: Counts::default(),
            ledger: Ledger { read: u64::MAX, ..Ledger::default() },
            settled: vec![],
            ended: Some(1),
            silenced: 3,
            added: vec![FileEntry { rewritten: true, ..FileEntry::default() }],
            removed: vec![],
            dropped: [("events".to_owned(), 1)].into(),
            horizon: Some(1),
            snapshot: None,
            answers: vec![],
            settings: [("lateness".to_owned(), "30s".to_owned())].into(),
            restated: Some(Restated::default()),
            checksum: String::new(),
        }
    }

    #[test]
    fn what_is_sealed_is_read_back_and_checked_by_hand() {
        let mut sealed = manifest();
        let bytes = seal(&mut sealed);
        assert_eq!(unseal("m", &bytes).unwrap(), sealed);
        let text = std::str::from_utf8(&bytes).unwrap();
        let (body, tail) = text.split_at(text.rfind(",\"checksum\":").unwrap());
        assert_eq!(tail, format!(",\"checksum\":\"{}\"}}\n", blake3::hash(body.as_bytes()).to_hex()));
        // Sealing is a function: the same commit has the same bytes.
        assert_eq!(seal(&mut sealed), bytes);
    }

    #[test]
    fn no_byte_can_change_and_none_be_missing() {
        let bytes = seal(&mut manifest());
        for at in 0..bytes.len() {
            for bit in [1, 0x20, 0x80] {
                let mut flipped = bytes.clone();
                flipped[at] ^= bit;
                assert!(matches!(unseal("m", &flipped), Err(ChainError::Damaged(_))), "byte {at}");
            }
            assert!(matches!(unseal("m", &bytes[..at]), Err(ChainError::Damaged(_))), "cut at {at}");
        }
        assert!(unseal("m", &[&bytes[..], b"\n"].concat()).is_err());
    }

    #[test]
    fn a_newer_version_is_refused_by_name() {
        let resealed = |from: &str, to: &str| {
            let text = String::from_utf8(seal(&mut manifest())).unwrap();
            let body = text[..text.rfind(",\"checksum\":").unwrap()].replacen(from, to, 1);
            format!("{body}{SEAL}{}{SEAL_END}", blake3::hash(body.as_bytes()).to_hex())
        };
        for text in [
            resealed("\"contract\":2,\"version\":\"0.1.0\"", "\"contract\":3,\"version\":\"9.1\",\"shape\":\"new\""),
            resealed("\"version\":\"0.1.0\"", "\"version\":\"9.1\",\"more\":[]"),
        ] {
            let error = unseal("commits/main/1.json", text.as_bytes()).unwrap_err();
            assert_eq!(error.exit_code(), 3);
            let sentence = error.to_string();
            assert!(sentence.contains("9.1") && sentence.contains("commits/main/1.json"), "{sentence}");
        }
    }
}
