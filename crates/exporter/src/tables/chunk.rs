//! A chunk is one column of one row group, encoded here by hand where much is known that the general encoder would find
//! out a value at a time: pseudonyms are bytes to copy, and texts come with their number, so that none has to be
//! hashed.

use super::hybrid;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, EncodingMask, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, PageEncodingStats};
use parquet::file::page_index::offset_index::{OffsetIndexMetaData, PageLocation};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// Rows of a page, so that a reader can pass over what it does not look for.
const PAGE_ROWS: usize = 16 << 10;

/// A column of pseudonyms: their bytes, one after the other, uncompressed, because random bits do not get smaller.
#[derive(Debug)]
pub(super) struct IdChunk {
    pages: Pages,
    /// Of the page that fills: its values, its rows, and for each row 1 where it has a value (none of a column without
    /// nulls).
    bytes: Vec<u8>,
    rows: usize,
    levels: Vec<u32>,
    least: u128,
    greatest: u128,
    /// Over all pages.
    range: Option<(u128, u128)>,
}

impl IdChunk {
    pub(super) fn new(descr: ColumnDescPtr) -> IdChunk {
        IdChunk {
            pages: Pages::new(descr),
            bytes: Vec::with_capacity(PAGE_ROWS * 16),
            rows: 0,
            levels: Vec::new(),
            least: u128::MAX,
            greatest: 0,
            range: None,
        }
    }

    /// Appends rows; `valid` says which have a value, and is there exactly where the column may hold nulls.
    pub(super) fn push(&mut self, mut ids: &[u128], mut valid: Option<&[bool]>) -> Result<()> {
        while !ids.is_empty() {
            let fits = ids.len().min(PAGE_ROWS - self.rows);
            let (now, later) = ids.split_at(fits);
            ids = later;
            match valid {
                None => now.iter().for_each(|id| self.value(*id)),
                Some(all) => {
                    let (flags, later) = all.split_at(fits);
                    valid = Some(later);
                    self.levels.extend(flags.iter().map(|flag| u32::from(*flag)));
                    now.iter().zip(flags).filter(|(_, flag)| **flag).for_each(|(id, _)| self.value(*id));
                }
            }
            self.rows += fits;
            if self.rows == PAGE_ROWS {
                self.page()?;
            }
        }
        Ok(())
    }

    fn value(&mut self, id: u128) {
        self.bytes.extend_from_slice(&id.to_be_bytes());
        self.least = self.least.min(id);
        self.greatest = self.greatest.max(id);
    }

    fn page(&mut self) -> Result<()> {
        let range = (!self.bytes.is_empty()).then_some((self.least, self.greatest));
        if let Some((least, greatest)) = range {
            let (from, to) = self.range.unwrap_or((least, greatest));
            self.range = Some((from.min(least), to.max(greatest)));
        }
        let bounds = range.map(|(least, greatest)| (least.to_be_bytes().to_vec(), greatest.to_be_bytes().to_vec()));
        self.pages.push(&self.bytes, Encoding::PLAIN, self.rows, &self.levels, bounds)?;
        self.bytes.clear();
        self.levels.clear();
        self.rows = 0;
        (self.least, self.greatest) = (u128::MAX, 0);
        Ok(())
    }

    pub(super) fn encoded_bytes(&self) -> usize {
        self.pages.sink.bytes_written() + self.bytes.len()
    }

    pub(super) fn close(mut self) -> Result<(Bytes, ColumnCloseResult)> {
        if self.rows > 0 {
            self.page()?;
        }
        let bound = |id: u128| FixedLenByteArray::from(id.to_be_bytes().to_vec());
        let (least, greatest) = self.range.map(|(least, greatest)| (bound(least), bound(greatest))).unzip();
        let statistics = Statistics::fixed_len_byte_array(least, greatest, None, Some(self.pages.nulls), false);
        self.pages.close(None, statistics)
    }
}

/// A column of texts that come with their number: a dictionary of those that occur, and each row's place in it.
#[derive(Debug)]
pub(super) struct TextChunk {
    pages: Pages,
    /// Place in the dictionary by number, or [`ABSENT`].
    places: Vec<u32>,
    /// The dictionary as its page holds it, and where each text lies in it.
    dictionary: Vec<u8>,
    texts: Vec<std::ops::Range<usize>>,
    /// Of the page that fills: places in the dictionary, and those of its least and greatest text.
    rows: Vec<u32>,
    range: Option<(u32, u32)>,
    last: Option<(u32, u32)>,
}

const ABSENT: u32 = u32::MAX;

impl TextChunk {
    pub(super) fn new(descr: ColumnDescPtr) -> TextChunk {
        TextChunk {
            pages: Pages::new(descr),
            places: Vec::new(),
            dictionary: Vec::new(),
            texts: Vec::new(),
            rows: Vec::with_capacity(PAGE_ROWS),
            range: None,
            last: None,
        }
    }

    /// Appends rows by the numbers of their texts, or returns the first number that has none.
    pub(super) fn push<'a>(
        &mut self,
        numbers: &[u32],
        text: impl Fn(usize) -> Option<&'a str>,
    ) -> Result<std::result::Result<(), u32>> {
        for &number in numbers {
            let place = match self.last {
                Some((last, place)) if last == number => place,
                _ => match self.place(number, &text) {
                    Some(place) => place,
                    None => return Ok(Err(number)),
                },
            };
            self.rows.push(place);
            if self.rows.len() == PAGE_ROWS {
                self.page()?;
            }
        }
        Ok(Ok(()))
    }

    fn place<'a>(&mut self, number: u32, text: &impl Fn(usize) -> Option<&'a str>) -> Option<u32> {
        let at = number as usize;
        let text = text(at)?;
        if self.places.len() <= at {
            self.places.resize(at + 1, ABSENT);
        }
        if self.places[at] == ABSENT {
            self.places[at] = self.add(text)?;
        }
        let place = self.places[at];
        let (least, greatest) = *self.range.get_or_insert((place, place));
        if place != least && place != greatest {
            let least = if self.text(place) < self.text(least) { place } else { least };
            let greatest = if self.text(place) > self.text(greatest) { place } else { greatest };
            self.range = Some((least, greatest));
        }
        self.last = Some((number, place));
        Some(place)
    }

    fn add(&mut self, text: &str) -> Option<u32> {
        self.dictionary.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
        let from = self.dictionary.len();
        self.dictionary.extend_from_slice(text.as_bytes());
        self.texts.push(from..self.dictionary.len());
        u32::try_from(self.texts.len() - 1).ok()
    }

    fn text(&self, place: u32) -> &[u8] {
        &self.dictionary[self.texts[place as usize].clone()]
    }

    fn page(&mut self) -> Result<()> {
        let bounds = self.range.map(|(least, greatest)| (self.text(least).to_vec(), self.text(greatest).to_vec()));
        let width = hybrid::width_of(self.texts.len().saturating_sub(1));
        let mut bytes = width.to_le_bytes()[..1].to_vec();
        hybrid::encode(&self.rows, width, &mut bytes);
        self.pages.push(&bytes, Encoding::RLE_DICTIONARY, self.rows.len(), &[], bounds)?;
        self.rows.clear();
        (self.range, self.last) = (None, None);
        Ok(())
    }

    pub(super) fn encoded_bytes(&self) -> usize {
        self.pages.sink.bytes_written() + self.dictionary.len() + self.rows.len()
    }

    pub(super) fn close(mut self) -> Result<(Bytes, ColumnCloseResult)> {
        if !self.rows.is_empty() {
            self.page()?;
        }
        let texts = || self.texts.iter().map(|range| &self.dictionary[range.clone()]);
        let bound = |text: Option<&[u8]>| text.map(ByteArray::from);
        let statistics =
            Statistics::byte_array(bound(texts().min()), bound(texts().max()), None, Some(self.pages.nulls), false);
        let count = u32::try_from(self.texts.len()).unwrap_or(ABSENT);
        self.pages.close(Some((self.dictionary, count)), statistics)
    }
}

/// The pages of a chunk so far, as they will lie in the file, and what the file's end says of them.
struct Pages {
    descr: ColumnDescPtr,
    sink: TrackedWrite<Vec<u8>>,
    index: ColumnIndexBuilder,
    locations: Vec<PageLocation>,
    encoding: Encoding,
    rows: usize,
    nulls: u64,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Pages {
    fn new(descr: ColumnDescPtr) -> Pages {
        let index = ColumnIndexBuilder::new(descr.physical_type());
        let sink = TrackedWrite::new(Vec::new());
        Pages { descr, sink, index, locations: Vec::new(), encoding: Encoding::PLAIN, rows: 0, nulls: 0 }
    }

    /// Appends a page of `rows` rows. A row's level is 1 where it has a value, and a column without nulls has no
    /// levels; `bounds` are the least and the greatest value.
    fn push(
        &mut self,
        values: &[u8],
        encoding: Encoding,
        rows: usize,
        levels: &[u32],
        bounds: Option<(Vec<u8>, Vec<u8>)>,
    ) -> Result<()> {
        let mut bytes = Vec::with_capacity(values.len() + 64);
        if !levels.is_empty() {
            bytes.extend_from_slice(&[0; 4]);
            hybrid::encode(levels, 1, &mut bytes);
            let len = u32::try_from(bytes.len() - 4)?;
            bytes[..4].copy_from_slice(&len.to_le_bytes());
        }
        bytes.extend_from_slice(values);
        let size = bytes.len();
        let page = Page::DataPage {
            buf: Bytes::from(bytes),
            num_values: u32::try_from(rows)?,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let written = SerializedPageWriter::new(&mut self.sink).write_page(CompressedPage::new(page, size))?;
        self.locations.push(PageLocation {
            offset: i64::try_from(written.offset)?,
            compressed_page_size: i32::try_from(written.bytes_written)?,
            first_row_index: i64::try_from(self.rows)?,
        });
        let nulls = levels.iter().filter(|level| **level == 0).count();
        let null_page = bounds.is_none();
        let (least, greatest) = bounds.unwrap_or_default();
        self.index.append(null_page, least, greatest, i64::try_from(nulls)?);
        self.encoding = encoding;
        self.rows += rows;
        self.nulls += nulls as u64;
        Ok(())
    }

    /// The chunk's bytes, its dictionary (a page of so many texts) before its other pages, and its description.
    fn close(self, dictionary: Option<(Vec<u8>, u32)>, statistics: Statistics) -> Result<(Bytes, ColumnCloseResult)> {
        let mut encoding_stats = Vec::new();
        let mut encodings = vec![Encoding::RLE, self.encoding];
        let (mut bytes, mut before) = (self.sink.into_inner()?, 0);
        if let Some((dictionary, num_values)) = dictionary {
            let size = dictionary.len();
            let buf = Bytes::from(dictionary);
            let page = Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
            let mut sink = TrackedWrite::new(Vec::with_capacity(size + bytes.len() + 64));
            SerializedPageWriter::new(&mut sink).write_page(CompressedPage::new(page, size))?;
            let mut whole = sink.into_inner()?;
            before = i64::try_from(whole.len())?;
            whole.append(&mut bytes);
            bytes = whole;
            encodings.push(Encoding::PLAIN);
            let (page_type, encoding) = (PageType::DICTIONARY_PAGE, Encoding::PLAIN);
            encoding_stats.push(PageEncodingStats { page_type, encoding, count: 1 });
        }
        let count = i32::try_from(self.locations.len())?;
        encoding_stats.push(PageEncodingStats { page_type: PageType::DATA_PAGE, encoding: self.encoding, count });
        let mut page_locations = self.locations;
        page_locations.iter_mut().for_each(|page| page.offset += before);
        let size = i64::try_from(bytes.len())?;
        let metadata = ColumnChunkMetaData::builder(self.descr)
            .set_compression(Compression::UNCOMPRESSED)
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(encoding_stats)
            .set_total_compressed_size(size)
            .set_total_uncompressed_size(size)
            .set_num_values(i64::try_from(self.rows)?)
            .set_data_page_offset(before)
            .set_dictionary_page_offset((before > 0).then_some(0))
            .set_statistics(statistics)
            .build()?;
        let result = ColumnCloseResult {
            bytes_written: u64::try_from(size)?,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: None,
            column_index: Some(self.index.build()?),
            offset_index: Some(OffsetIndexMetaData { page_locations, unencoded_byte_array_data_bytes: None }),
        };
        Ok((Bytes::from(bytes), result))
    }
}
