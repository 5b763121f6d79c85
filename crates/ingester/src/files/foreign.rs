//! What is foreign is whole, and still not to be read here: another compression, an archive, a file of tables, a zstd
//! frame that asks for more than a reader gives. It is told from damage, since no other copy would do: another program
//! has to make lines of it, and which one is said.

use std::fmt;

/// How many of a source's first bytes tell what it is: those of a tar archive are the most.
pub(super) const HEAD_BYTES: usize = 512;

/// Something foreign, in the words that follow its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    /// "is compressed by xz".
    pub(super) what: String,
    /// The command that writes its lines to a pipe, and the one that does so from a pipe, where there are such.
    pub(super) from_file: Option<&'static str>,
    pub(super) from_pipe: Option<&'static str>,
}

/// First bytes, what begins so, and what makes lines of it: of a file by its name, and of a pipe.
type Known = (&'static [u8], &'static str, Option<&'static str>, Option<&'static str>);

const KNOWN: [Known; 16] = [
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "is compressed by xz", Some("xz -dc"), Some("xz -dc")),
    (&[0x04, 0x22, 0x4d, 0x18], "is compressed by lz4", Some("lz4 -dc"), Some("lz4 -dc")),
    (b"LZIP\x01", "is compressed by lzip", Some("lzip -dc"), Some("lzip -dc")),
    (&[0x1f, 0x9d], "is compressed by compress", Some("gzip -dc"), Some("gzip -dc")),
    (b"\xff\x06\0\0sNaPpY", "is compressed by snappy", Some("snzip -dc"), Some("snzip -dc")),
    (b"\x89LZO\0\r\n\x1a\n", "is compressed by lzop", Some("lzop -dc"), Some("lzop -dc")),
    (b"PK\x03\x04", "is a zip archive", Some("unzip -p"), Some("funzip")),
    (b"PK\x05\x06", "is an empty zip archive", None, None),
    (&[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c], "is a 7-Zip archive", Some("7z x -so"), None),
    (b"Rar!\x1a\x07", "is a RAR archive", Some("unrar p -inul"), None),
    (b"PAR1", "is a Parquet file", None, None),
    (b"Obj\x01", "is an Avro file", None, None),
    (b"ORC", "is an ORC file", None, None),
    (b"ARROW1\0\0", "is an Arrow file", None, None),
    (b"SQLite format 3\0", "is a SQLite database", None, None),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file", None, None),
];

/// A compression that is read here, inside one: once is enough.
const TWICE: [Known; 2] = [
    (&[0x1f, 0x8b, 0x08], "is compressed by gzip", None, Some("gzip -dc")),
    (&[0x28, 0xb5, 0x2f, 0xfd], "is compressed by zstd", None, Some("zstd -dc")),
];

impl Foreign {
    /// What a file that begins with `head` is, if it is foreign.
    pub(super) fn of(head: &[u8]) -> Option<Foreign> {
        if is_tar(head) {
            let (file, pipe) = (Some("tar -xOf"), Some("tar -xOf -"));
            return Some(Foreign { what: "is a tar archive".to_owned(), from_file: file, from_pipe: pipe });
        }
        if let [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..] | [b'B', b'Z', b'h', _, 0x17, 0x72, ..] =
            head
        {
            let command = Some("bzip2 -dc");
            let what = "is compressed by bzip2".to_owned();
            return Some(Foreign { what, from_file: command, from_pipe: command });
        }
        // A text may begin with such letters; one of these files has bytes in its first few that no text has.
        let is_text = head.iter().take(16).all(|byte| *byte >= b' ' || matches!(byte, b'\t' | b'\r' | b'\n'));
        if is_text { None } else { known(&KNOWN, head) }
    }

    /// The same of what came out of a decompressor.
    pub(super) fn within(head: &[u8]) -> Option<Foreign> {
        known(&TWICE, head).or_else(|| Foreign::of(head))
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Foreign {}

fn known(list: &[Known], head: &[u8]) -> Option<Foreign> {
    let (_, what, from_file, from_pipe) = list.iter().find(|(magic, ..)| head.starts_with(magic))?;
    Some(Foreign { what: (*what).to_owned(), from_file: *from_file, from_pipe: *from_pipe })
}

/// Whether these are the header of a tar archive's first member: the sum of its bytes stands in it, in octal digits,
/// and is made as if spaces stood there.
fn is_tar(head: &[u8]) -> bool {
    const SUM: std::ops::Range<usize> = 148..156;
    let Some(head) = head.get(..HEAD_BYTES) else { return false };
    let digits = str::from_utf8(&head[SUM]).unwrap_or_default();
    let Ok(sum) = u64::from_str_radix(digits.trim_matches([' ', '\0']), 8) else { return false };
    let others = head.iter().enumerate().filter(|(at, _)| !SUM.contains(at)).map(|(_, byte)| u64::from(*byte));
    sum == others.sum::<u64>() + SUM.len() as u64 * u64::from(b' ') && head.contains(&0)
}
