//! Stays are a histogram in one cell: a list of buckets, each its lowest value in ms and the sessions in it.

use super::columns::Cells;
use super::{Table, TableError};
use arrow_array::{Array, Int64Array, ListArray, StructArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields};
use audience::Stay;
use std::sync::Arc;

pub(super) fn encode<'a>(
    table: Table,
    column: &str,
    cells: impl Iterator<Item = &'a [Stay]> + Clone,
) -> Result<Cells<'static>, TableError> {
    let schema = table.schema();
    let (element, fields) = element(schema.field_with_name(column).ok().map(Field::data_type))
        .ok_or_else(|| TableError::bug(table, format!("it has no column {column} of stays")))?;
    let ms = Int64Array::from_iter_values(cells.clone().flatten().map(|stay| stay.ms));
    let sessions = Int64Array::from_iter_values(cells.clone().flatten().map(|stay| stay.sessions));
    let lengths = cells.map(<[Stay]>::len);
    let list = StructArray::try_new(fields, vec![Arc::new(ms), Arc::new(sessions)], None)
        .and_then(|buckets| ListArray::try_new(element, OffsetBuffer::from_lengths(lengths), Arc::new(buckets), None))
        .map_err(|error| TableError::bug(table, error.to_string()))?;
    Ok(Cells::Array(Arc::new(list)))
}

fn element(list: Option<&DataType>) -> Option<(Arc<Field>, Fields)> {
    let DataType::List(element) = list? else { return None };
    let DataType::Struct(fields) = element.data_type() else { return None };
    Some((Arc::clone(element), fields.clone()))
}

/// The cells of a decoded column, or `None` where the file has nulls inside.
#[derive(Debug)]
pub(super) struct Histograms {
    offsets: ScalarBuffer<i32>,
    ms: ScalarBuffer<i64>,
    sessions: ScalarBuffer<i64>,
}

impl Histograms {
    pub(super) fn of(list: &ListArray) -> Option<Histograms> {
        let buckets = list.values().as_any().downcast_ref::<StructArray>()?;
        let [ms, sessions] = buckets.columns() else { return None };
        let ms = ms.as_any().downcast_ref::<Int64Array>()?;
        let sessions = sessions.as_any().downcast_ref::<Int64Array>()?;
        if list.null_count() + buckets.null_count() + ms.null_count() + sessions.null_count() > 0 {
            return None;
        }
        let (ms, sessions) = (ms.values().clone(), sessions.values().clone());
        Some(Histograms { offsets: list.offsets().inner().clone(), ms, sessions })
    }

    pub(super) fn cell(&self, row: usize) -> Vec<Stay> {
        let at = |end: usize| usize::try_from(self.offsets[end]).unwrap_or(0);
        let range = at(row)..at(row + 1);
        let sessions = &self.sessions[range.clone()];
        self.ms[range].iter().zip(sessions).map(|(&ms, &sessions)| Stay { ms, sessions }).collect()
    }
}
