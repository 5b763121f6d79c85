//! Files against the plainest splitter there is, at every boundary.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crc_fast::{CrcAlgorithm, checksum};
use flate2::Compression;
use flate2::write::GzEncoder;
use problem::Failure;
use tempfile::TempDir;

use super::lines::Limits;
use super::stream::{Stream, StreamOrigin, Turn};
use super::{BYTE_ORDER_MARK as MARK, Block, BlockKind, Files, InputError};

const TINY: Limits = Limits { block_bytes: 1, line_bytes_max: 6, head_bytes: 3 };

/// A line: its source, its offset, its bytes with LF (or its head), and its length where it is oversized.
type Line = (u32, u64, Vec<u8>, Option<u64>);

/// The lines of `text`, one byte after the other.
fn naive(source: u32, text: &[u8], limits: &Limits) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = if text.starts_with(MARK) { MARK.len() } else { 0 };
    for end in start + 1..=text.len() {
        let ended = text[end - 1] == b'\n';
        if !ended && end < text.len() {
            continue;
        }
        let content = end - start - usize::from(ended);
        let place = start as u64;
        lines.push(if content > limits.line_bytes_max {
            (source, place, text[start..start + limits.head_bytes].to_vec(), Some(content as u64))
        } else {
            (source, place, text[start..end].to_vec(), None)
        });
        start = end;
    }
    lines
}

fn lines_of(block: &Block, into: &mut Vec<Line>) {
    assert!(!block.bytes().is_empty(), "a block is never empty");
    if let BlockKind::Oversized { line_bytes, .. } = block.kind {
        into.push((block.source, block.offset, block.bytes().to_vec(), Some(line_bytes)));
        return;
    }
    let mut offset = block.offset;
    for line in block.bytes().split_inclusive(|byte| *byte == b'\n') {
        into.push((block.source, offset, line.to_vec(), None));
        offset += line.len() as u64;
    }
}

/// All lines, sorted by place, as `workers` threads get them.
fn read(files: &Files, workers: usize) -> Result<Vec<Line>, InputError> {
    let one = || {
        let (mut lines, mut buffer) = (Vec::new(), Vec::new());
        while let Some(block) = files.next_block(buffer)? {
            lines_of(&block, &mut lines);
            buffer = block.into_buffer();
        }
        Ok(lines)
    };
    let mut lines = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a reader does not panic")).collect::<Result<Vec<_>, _>>()
    })?
    .concat();
    lines.sort();
    Ok(lines)
}

fn gzip(parts: &[&[u8]]) -> Vec<u8> {
    let member = |part: &&[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(part).expect("memory takes bytes");
        encoder.finish().expect("memory takes bytes")
    };
    parts.iter().flat_map(member).collect()
}

fn zstd(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| zstd::bulk::compress(part, 1).expect("memory takes bytes")).collect()
}

fn write(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, bytes).expect("a test can write");
    path
}

/// The next number of a fixed sequence (xorshift64), so that a failure comes again.
fn draw(state: &mut u64, below: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state % below as u64).expect("below a usize")
}

/// A text of LFs, CRs and letters, in which lines of every length around the limit meet; some begin with a byte order
/// mark, with two, or with a part of one.
fn text(state: &mut u64) -> Vec<u8> {
    let begins: [&[u8]; 6] = [b"", b"", MARK, MARK, b"\xef\xbb\xbf\xef\xbb\xbf", b"\xef\xbb"];
    let begin = begins[draw(state, begins.len())];
    let length = draw(state, 40);
    let lf_in = 1 + draw(state, 14);
    let rest = (0..length)
        .map(|_| if draw(state, lf_in) == 0 { b'\n' } else { *b"abcdef\rz".get(draw(state, 8)).unwrap_or(&b'x') });
    begin.iter().copied().chain(rest).collect()
}

#[test]
fn every_form_and_block_size_gives_the_lines() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for round in 0..150 {
        let text = text(&mut state);
        let limits = Limits { block_bytes: 1 + draw(&mut state, 20), ..TINY };
        let (a, b) = text.split_at(draw(&mut state, text.len() + 1));
        let paths = [
            write(&dir, "plain.ndjson", &text),
            write(&dir, "two-members.gz", &gzip(&[a, b])),
            write(&dir, "two-frames.zst", &zstd(&[a, b])),
        ];
        let files = Files::open_with(&paths, limits).expect("they are there");
        let expected: Vec<Line> = (0..3).flat_map(|source| naive(source, &text, &limits)).collect();
        assert_eq!(read(&files, 1).expect("they are whole"), expected, "round {round}, {limits:?}");
        for (report, path) in files.sources().iter().zip(&paths) {
            let stored = fs::read(path).expect("it is there");
            let sum = checksum(CrcAlgorithm::Crc64Nvme, &stored);
            assert_eq!((report.bytes, report.crc64), (stored.len() as u64, sum), "round {round}, {path:?}");
        }
        assert_eq!(Some(files.bytes_read()), files.bytes_total(), "round {round}");
    }
}

#[test]
fn a_byte_order_mark_is_passed_over_where_a_source_begins() {
    let dir = tempfile::tempdir().expect("a folder");
    // A line of the greatest length and one of a byte more, both counted from behind the mark; nothing but a mark; and
    // marks that begin no source.
    let texts: [&[u8]; 5] = [b"abcdef\nab", b"abcdefg\nab", b"", b"\xef\xbb\xbfabc\n\xef\xbb\xbf", b"\n\xef\xbb\xbf"];
    for text in texts {
        let stored = [MARK, text].concat();
        let (front, back) = stored.split_at(1);
        let paths = [
            write(&dir, "plain", &stored),
            write(&dir, "two-members.gz", &gzip(&[front, back])),
            write(&dir, "two-frames.zst", &zstd(&[front, back])),
        ];
        let expected: Vec<Line> = (0..3).flat_map(|source| naive(source, &stored, &TINY)).collect();
        assert!(expected.iter().all(|line| line.1 >= 3), "{expected:?}");
        for block_bytes in 1..12 {
            let limits = Limits { block_bytes, ..TINY };
            let files = Files::open_with(&paths, limits).expect("they are there");
            assert_eq!(read(&files, 2).expect("they are whole"), expected, "{text:?}, {limits:?}");
            let sums = files.sources().iter().map(|report| report.crc64).collect::<Vec<_>>();
            let straight = |path: &PathBuf| checksum(CrcAlgorithm::Crc64Nvme, &fs::read(path).expect("it is there"));
            assert_eq!(sums, paths.iter().map(straight).collect::<Vec<_>>(), "a mark is a part of its source");
        }
        assert_eq!(read_pipe(stored, false).expect("it is whole"), text);
    }
}

#[test]
fn several_threads_get_each_line_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let text = |lines: usize| -> Vec<u8> { (0..lines).flat_map(|line| format!("{line:>5}\n").into_bytes()).collect() };
    let (long, short) = (text(4000), text(700));
    let (front, back) = short.split_at(3000);
    let paths = [
        write(&dir, "a", &long),
        write(&dir, "b", &gzip(&[front, back])),
        write(&dir, "c", b""),
        write(&dir, "d", &zstd(&[&short])),
        write(&dir, "e", &short[..short.len() - 1]),
    ];
    let limits = Limits { block_bytes: 29, ..TINY };
    let files = Files::open_with(&paths, limits).expect("they are there");
    let texts: [&[u8]; 5] = [&long, &short, b"", &short, &short[..short.len() - 1]];
    let expected: Vec<Line> =
        texts.iter().zip(0u32..).flat_map(|(text, source)| naive(source, text, &limits)).collect();
    assert_eq!(read(&files, 4).expect("they are whole"), expected);
    let straight = checksum(CrcAlgorithm::Crc64Nvme, &long);
    assert_eq!(files.sources()[0].crc64, straight, "checksums of blocks add up");
}

#[test]
fn the_real_limit_is_one_mib_before_the_lf() {
    const MIB: usize = 1 << 20;
    let dir = tempfile::tempdir().expect("a folder");
    let line = |bytes: usize| -> Vec<u8> { [vec![b'x'; bytes], vec![b'\n']].concat() };
    // The long lines lie inside a block, over its edge, and over several blocks.
    let text = [line(MIB), line(MIB + 1), line(2 * MIB), line(MIB), line(9 * MIB), b"last".to_vec()].concat();
    let paths = [write(&dir, "plain", &text), write(&dir, "zst", &zstd(&[&text]))];
    let files = Files::open(&paths).expect("they are there");
    let expected: Vec<Line> = (0..2).flat_map(|source| naive(source, &text, &Limits::REAL)).collect();
    let sizes: Vec<Option<u64>> = expected[..6].iter().map(|line| line.3).collect();
    let oversized = |bytes: usize| Some(bytes as u64);
    assert_eq!(sizes, [None, oversized(MIB + 1), oversized(2 * MIB), None, oversized(9 * MIB), None]);
    assert!(read(&files, 2).expect("they are whole") == expected, "lines differ");
}

/// Each cut of `stored` at a byte that is no boundary of its members must be an error that names the file and the
/// place.
fn check_cuts(name: &str, stored: &[u8], boundary: usize) {
    let dir = tempfile::tempdir().expect("a folder");
    for end in 0..stored.len() {
        let path = write(&dir, name, &stored[..end]);
        let opened = Files::open_with(std::slice::from_ref(&path), TINY);
        let outcome = opened.and_then(|files| read(&files, 2));
        if end == boundary {
            assert!(outcome.is_ok(), "whole members are whole: {outcome:?}");
            continue;
        }
        let error = outcome.expect_err(&format!("{name} cut at {end} of {}", stored.len()));
        assert_eq!(error.exit_code(), 4, "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn a_cut_file_is_an_error_wherever_it_is_cut() {
    let (one, two): (&[u8], &[u8]) = (b"one\ntwo\n", b"three\nfour\n");
    check_cuts("cut.gz", &gzip(&[one, two]), gzip(&[one]).len());
    check_cuts("cut.zst", &zstd(&[one, two]), zstd(&[one]).len());
}

#[test]
fn damage_names_the_uncompressed_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut stored = gzip(&[b"one\ntwo\n", b"three\n"]);
    let last = stored.len() - 5;
    stored[last] ^= 1;
    let files = Files::open(&[write(&dir, "bad.gz", &stored)]).expect("it is there");
    let error = read(&files, 1).expect_err("its checksum is wrong");
    assert!(matches!(error, InputError::Corrupt { format: "gzip", offset: 14, .. }), "{error:?}");
}

#[test]
fn what_cannot_be_read_is_refused_at_the_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let there = write(&dir, "there", b"a\n");
    let refused = |path: &Path| Files::open(&[there.clone(), path.to_owned()]).expect_err("it must be refused");
    let missing = refused(&dir.path().join("missing"));
    assert!(matches!(missing, InputError::Open { .. }) && missing.exit_code() == 3, "{missing}");
    let folder = refused(dir.path());
    assert!(matches!(folder, InputError::Folder { .. }) && folder.exit_code() == 3, "{folder}");
    let empty = refused(&write(&dir, "empty.gz", b""));
    assert!(matches!(empty, InputError::Corrupt { offset: 0, .. }) && empty.exit_code() == 4, "{empty}");
    let dashes = Files::open(&["-".into(), "-".into()]).expect_err("it must be refused");
    assert!(matches!(dashes, InputError::StdinTwice) && dashes.exit_code() == 2, "{dashes}");
}

#[test]
fn the_first_bytes_tell_and_not_the_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let paths = [write(&dir, "plain.gz", b"a\n"), write(&dir, "gzip.ndjson", &gzip(&[b"a\n"])), write(&dir, "1", b"a")];
    let files = Files::open(&paths).expect("they are there");
    let line = |source, text: &[u8]| (source, 0, text.to_vec(), None);
    assert_eq!(read(&files, 1).expect("they are whole"), [line(0, b"a\n"), line(1, b"a\n"), line(2, b"a")]);
    assert_eq!(files.path(1), paths[1].to_str());
}

#[test]
fn a_file_that_shrinks_is_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = write(&dir, "shrinks", b"one\ntwo\nthree\n");
    let files = Files::open(std::slice::from_ref(&path)).expect("it is there");
    fs::write(&path, b"one\n").expect("a test can write");
    let error = read(&files, 1).expect_err("it was cut");
    assert!(matches!(error, InputError::Shrunk { expected: 14, found: 4, .. }), "{error:?}");
    assert_eq!(error.exit_code(), 3);
}

/// Gives its bytes by three, as a pipe may, and then fails where `fails` is set.
struct Pipe(Vec<u8>, bool);

impl std::io::Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() && self.1 {
            return Err(std::io::Error::other("the wire is cut"));
        }
        let count = into.len().min(3).min(self.0.len());
        into[..count].copy_from_slice(&self.0[..count]);
        self.0.drain(..count);
        Ok(count)
    }
}

fn read_pipe(bytes: Vec<u8>, fails: bool) -> Result<Vec<u8>, InputError> {
    let limits = Limits { block_bytes: 8, line_bytes_max: 100, head_bytes: 3 };
    let progress = Arc::new(AtomicU64::new(0));
    let begin = if bytes.starts_with(MARK) { MARK.len() as u64 } else { 0 };
    let stream = Stream::new("-".into(), StreamOrigin::Open(Box::new(Pipe(bytes, fails))), limits, &progress);
    let (mut all, mut buffer) = (Vec::new(), Vec::new());
    while let Turn::Pieces(pieces) = stream.next(&mut buffer, true)? {
        assert_eq!(pieces.base, begin + all.len() as u64);
        all.extend_from_slice(&buffer[pieces.first.range]);
    }
    Ok(all)
}

#[test]
fn a_pipe_is_read_as_what_it_is() {
    let text = b"a line\nanother line, longer than a block\n\r\nlast".to_vec();
    for stored in [text.clone(), gzip(&[&text]), zstd(&[&text])] {
        assert_eq!(read_pipe(stored, false).expect("it is whole"), text);
    }
}

#[test]
fn a_failing_read_is_the_systems_fault_and_not_the_datas() {
    for stored in [b"a\nb".to_vec(), gzip(&[b"a\nb"])[..20].to_vec()] {
        let error = read_pipe(stored, true).expect_err("the wire is cut");
        assert!(matches!(error, InputError::Read { .. }) && error.exit_code() == 3, "{error:?}");
    }
}
