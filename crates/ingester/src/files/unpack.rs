//! Unpacking is what makes one stream of a gzip file's members or of a zstd file's frames, and tells what is not for it
//! from what is damaged.

use super::foreign::Foreign;
use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use zstd::stream::read::Decoder;

/// A frame may ask for a window of so many bytes, which is the decoder's own limit, whatever the frame says.
const WINDOW_MAX: &str = "128 MiB";

/// The members of a gzip file. Zeros behind the last are passed over, as gzip itself does: tapes, disk images and
/// servers that send whole blocks leave them.
pub(super) struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Members<R> {
    pub(super) fn new(reader: R) -> Members<R> {
        Members(Some(GzDecoder::new(reader)))
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(into)?;
            if count > 0 || into.is_empty() {
                return Ok(count);
            }
            let Some(mut rest) = self.0.take().map(GzDecoder::into_inner) else { break };
            match first_behind_zeros(&mut rest)? {
                None => break,
                Some(0x1f) => self.0 = Some(GzDecoder::new(rest)),
                Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, appended("gzip", "gzip -dc"))),
            }
        }
        Ok(0)
    }
}

/// The frames of a zstd file, and zeros behind them.
pub(super) struct Frames<R: BufRead> {
    /// `None` at the end.
    decoder: Option<Decoder<'static, R>>,
    /// What the first frame asks for, where its header is understood.
    asks: Option<Asks>,
}

impl<R: BufRead> Frames<R> {
    /// `head`: the first bytes of what `reader` gives.
    pub(super) fn new(head: &[u8], reader: R) -> io::Result<Frames<R>> {
        Ok(Frames { asks: Asks::of(head), decoder: Some(Decoder::with_buffer(reader)?) })
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(decoder) = &mut self.decoder else { return Ok(0) };
        let error = match decoder.read(into) {
            Ok(count) => return Ok(count),
            Err(error) => error,
        };
        // zstd gives its errors as words alone.
        let foreign = match error.to_string().as_str() {
            "Unknown frame descriptor" => {
                let next = decoder.get_mut().fill_buf()?.first().copied();
                if next == Some(0) && first_behind_zeros(decoder.get_mut())?.is_none() {
                    self.decoder = None;
                    return Ok(0);
                }
                appended("zstd", "zstd -dc")
            }
            "Frame requires too much memory for decoding" => large_window(self.asks.map(|asks| asks.window)),
            "Dictionary mismatch" => with_dictionary(self.asks.map(|asks| asks.dictionary)),
            _ => return Err(error),
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, foreign))
    }
}

/// Passes over zeros; the byte that comes then, which stays, or `None` at the end.
fn first_behind_zeros(reader: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let bytes = reader.fill_buf()?;
        let (len, zeros) = (bytes.len(), bytes.iter().take_while(|byte| **byte == 0).count());
        let next = bytes.get(zeros).copied();
        reader.consume(zeros);
        if next.is_some() || len == 0 {
            return Ok(next);
        }
    }
}

fn appended(format: &str, command: &'static str) -> Foreign {
    let what =
        format!("goes on behind its {format} data with bytes that are no {format}, as if something was appended");
    Foreign { what, from_file: Some(command), from_pipe: Some(command) }
}

fn large_window(window: Option<u64>) -> Foreign {
    let window = window.filter(|window| *window > 128 << 20);
    let asked = window.map_or_else(|| "a larger one".to_owned(), bytes);
    let what = format!("is a zstd file with a window of {asked}: at most {WINDOW_MAX} are given to one");
    let command = match window.map_or(31, |window| window.next_power_of_two().ilog2()) {
        ..=28 => "zstd -dc --long=28",
        29 => "zstd -dc --long=29",
        30 => "zstd -dc --long=30",
        _ => "zstd -dc --long=31",
    };
    Foreign { what, from_file: Some(command), from_pipe: Some(command) }
}

fn with_dictionary(id: Option<u64>) -> Foreign {
    let id = id.filter(|id| *id > 0).map_or_else(String::new, |id| format!(" {id}"));
    let what = format!("is a zstd file that was made with the dictionary{id}, which is not in it");
    Foreign { what, from_file: Some("zstd -dc -D DICTIONARY"), from_pipe: Some("zstd -dc -D DICTIONARY") }
}

/// A size as `zstd -lv` says it; `bytes` is a power of two and eighths of it.
fn bytes(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1, "bytes")];
    let (unit, name) =
        units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit)).unwrap_or((1, "bytes"));
    format!("{} {name}", bytes / unit)
}

/// What a zstd frame asks for in its header (RFC 8878, 3.1.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asks {
    /// Bytes.
    window: u64,
    /// The id of a dictionary; 0 for none.
    dictionary: u64,
}

impl Asks {
    /// Of the first frame in `head`; `None` where it is cut or lies further behind.
    fn of(mut head: &[u8]) -> Option<Asks> {
        while let [0x50..=0x5f, 0x2a, 0x4d, 0x18, rest @ ..] = head {
            let (length, rest) = rest.split_first_chunk()?;
            head = rest.get(u32::from_le_bytes(*length) as usize..)?;
        }
        let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = head else { return None };
        let is_single = descriptor & 0x20 != 0;
        let (window, rest) =
            if is_single { (None, rest) } else { rest.split_first().map(|(b, rest)| (Some(b), rest))? };
        let (dictionary, rest) = number(rest, [0, 1, 2, 4][usize::from(descriptor & 3)])?;
        let content = match (descriptor >> 6, is_single) {
            (0, false) => 0,
            (0, true) => number(rest, 1)?.0,
            (1, _) => number(rest, 2)?.0 + 256,
            (2, _) => number(rest, 4)?.0,
            _ => number(rest, 8)?.0,
        };
        let window = window.map_or(content, |byte| (1 << (10 + (byte >> 3))) / 8 * (8 + u64::from(byte & 7)));
        Some(Asks { window, dictionary })
    }
}

/// An integer of so many bytes, the lowest first, and what follows it.
fn number(bytes: &[u8], len: usize) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_at_checked(len)?;
    Some((number.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_what_it_asks_for() {
        for (window_log, window) in [(10, 1 << 10), (27, 128 << 20)] {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
            encoder.window_log(window_log).expect("a window");
            std::io::Write::write_all(&mut encoder, &[7; 5_000]).expect("memory takes bytes");
            let stored = encoder.finish().expect("memory takes bytes");
            assert_eq!(Asks::of(&stored), Some(Asks { window, dictionary: 0 }));
            let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], &stored[..]].concat();
            assert_eq!(Asks::of(&skipped), Asks::of(&stored));
            assert_eq!(Asks::of(&stored[..5]), None, "a head that is cut says nothing");
        }
        let single = zstd::bulk::compress(&[7; 300], 1).expect("memory takes bytes");
        assert_eq!(Asks::of(&single), Some(Asks { window: 300, dictionary: 0 }));
        assert_eq!(
            (bytes(2 << 30), bytes(144 << 20), bytes(300)),
            ("2 GiB".into(), "144 MiB".into(), "300 bytes".into())
        );
    }
}
