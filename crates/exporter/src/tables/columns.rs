//! Cells are one column of a batch on its way into a file: one field of many rows, laid side by side.

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use audience::Ms;
use std::sync::Arc;

/// One column of a batch, not yet encoded.
#[derive(Debug)]
pub(super) enum Cells<'a> {
    /// What Parquet's own encoder takes.
    Array(ArrayRef),
    /// Texts by their number in a list.
    Texts(Vec<u32>, Texts<'a>),
    /// Pseudonyms, and which rows have one, where there may be nulls.
    Ids(Vec<u128>, Option<Vec<bool>>),
}

/// The texts that numbers stand for. One column of a file always has the same list, which may grow at its end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Texts<'a> {
    /// Names that this process has numbered.
    Names(&'a [Arc<str>]),
    /// Words of the contract.
    Words(&'static [&'static str]),
}

impl<'a> Texts<'a> {
    pub(super) fn get(self, number: usize) -> Option<&'a str> {
        match self {
            Texts::Names(names) => names.get(number).map(|name| &**name),
            Texts::Words(words) => words.get(number).copied(),
        }
    }
}

pub(super) fn ints(values: impl Iterator<Item = i64>) -> Cells<'static> {
    Cells::Array(Arc::new(Int64Array::from_iter_values(values)))
}

pub(super) fn maybe_ints(values: impl Iterator<Item = Option<i64>>) -> Cells<'static> {
    Cells::Array(Arc::new(values.collect::<Int64Array>()))
}

pub(super) fn small_ints(values: impl Iterator<Item = i32>) -> Cells<'static> {
    Cells::Array(Arc::new(Int32Array::from_iter_values(values)))
}

pub(super) fn instants(values: impl Iterator<Item = Ms>) -> Cells<'static> {
    Cells::Array(Arc::new(TimestampMillisecondArray::from_iter_values(values).with_timezone("UTC")))
}

pub(super) fn maybe_instants(values: impl Iterator<Item = Option<Ms>>) -> Cells<'static> {
    Cells::Array(Arc::new(values.collect::<TimestampMillisecondArray>().with_timezone("UTC")))
}

pub(super) fn texts<'a>(values: impl Iterator<Item = &'a str>) -> Cells<'static> {
    Cells::Array(Arc::new(StringArray::from_iter_values(values)))
}

pub(super) fn maybe_texts<'a>(values: impl Iterator<Item = Option<&'a str>> + Clone) -> Cells<'static> {
    // Most batches of the log have no retweet and no `via` at all.
    if values.clone().all(|value| value.is_none()) {
        return Cells::Array(Arc::new(StringArray::new_null(values.count())));
    }
    Cells::Array(Arc::new(values.collect::<StringArray>()))
}

pub(super) fn maybe_bytes<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> Cells<'static> {
    Cells::Array(Arc::new(values.collect::<BinaryArray>()))
}

pub(super) fn means(values: impl Iterator<Item = f64>) -> Cells<'static> {
    Cells::Array(Arc::new(Float64Array::from_iter_values(values)))
}

pub(super) fn maybe_means(values: impl Iterator<Item = Option<f64>>) -> Cells<'static> {
    Cells::Array(Arc::new(values.collect::<Float64Array>()))
}

pub(super) fn flags(values: impl Iterator<Item = bool>) -> Cells<'static> {
    Cells::Array(Arc::new(BooleanArray::from(values.collect::<Vec<bool>>())))
}

/// Texts by their number in `names`.
pub(super) fn numbered(numbers: impl Iterator<Item = u32>, names: &[Arc<str>]) -> Cells<'_> {
    Cells::Texts(numbers.collect(), Texts::Names(names))
}

/// Words of the contract by their place in `words`.
pub(super) fn words(places: impl Iterator<Item = u8>, words: &'static [&'static str]) -> Cells<'static> {
    Cells::Texts(places.map(u32::from).collect(), Texts::Words(words))
}

pub(super) fn ids(values: impl Iterator<Item = u128>) -> Cells<'static> {
    Cells::Ids(values.collect(), None)
}

/// Pseudonyms of rows of which some have none: those for which `valid` is false.
pub(super) fn maybe_ids(values: impl Iterator<Item = u128>, valid: impl Iterator<Item = bool>) -> Cells<'static> {
    Cells::Ids(values.collect(), Some(valid.collect()))
}
