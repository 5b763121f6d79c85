//! A stray is a file among ours that no jauge made: of an editor, a file manager, a file system. What cannot be ours by
//! its name is passed over, and `verify` notes it; what could be is never passed over.

/// Endings of the files that we make.
const OURS: [&str; 4] = [".json", ".parquet", ".arrows", ".part"];

/// Whether a file or folder is named as those are that others leave everywhere: hidden, a backup, being written.
pub(crate) fn is_clutter(name: &str) -> bool {
    name.starts_with(['.', '~', '@', '$'])
        || name.contains('#')
        || [".tmp", ".swp", ".swo", "~"].iter().any(|ending| name.ends_with(ending))
        || name == "lost+found"
}

/// Whether a file could be ours: by its ending, or because it begins with a number. A file of rows could be whatever
/// its name, for readers take all that end so; but not what macOS lays beside each file.
pub(crate) fn may_be_ours(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_like_ours = name.starts_with(|c: char| c.is_ascii_digit()) || OURS.iter().any(|end| name.ends_with(end));
    is_like_ours && !is_clutter(name) || name.ends_with(".parquet") && !name.starts_with("._")
}

/// Whether a folder could be that of a writer.
pub(crate) fn may_be_writer(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_leave_is_not_ours_and_what_could_be_is() {
        let number = "00000000000000000042";
        for clutter in [
            ".DS_Store",
            ".nfs000000000000a1b2",
            &format!(".{number}.json.swp"),
            &format!("._{number}-0000.parquet"),
            &format!("{number}.json~"),
            &format!("{number}.json.tmp"),
            &format!("#{number}.json#"),
            &format!("{number}.json#1"),
            "Thumbs.db",
            "desktop.ini",
            "Icon\r",
            "lost+found",
            "@eaDir",
            "$RECYCLE.BIN",
            "notes.txt",
        ] {
            assert!(!may_be_ours(clutter) && !may_be_ours(&format!("minutes/date=2016-04-03/{clutter}")), "{clutter}");
        }
        for ours in [
            &format!("{number}.json"),
            &format!("{number} (1).json"),
            &format!("{number}.json.gz"),
            &number[1..],
            "copy.json",
            "mine.parquet",
            ".hidden.parquet",
            "00000000000000000042-0000.parquet.part",
        ] {
            assert!(may_be_ours(ours), "{ours}");
        }
        assert!(may_be_writer("main") && may_be_writer("b_2-x"));
        assert!(![".snapshot", "@eaDir", "lost+found", "main copy"].into_iter().any(may_be_writer));
    }
}
