//! The tail of the log: what a snapshot lacks. Events of later commits, and those of earlier ones that take effect at
//! an instant or after it.

use super::TableFile;
use arrow_array::BooleanArray;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_schema::ArrowError;
use audience::Ms;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, RowFilter};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics;

/// Least and greatest value of a column in a row group; `None` where the file does not say.
fn range(row_group: &RowGroupMetaData, column: &str) -> Option<(i64, i64)> {
    let chunk = row_group.columns().iter().find(|chunk| chunk.column_path().string() == column)?;
    match chunk.statistics()? {
        Statistics::Int64(all) => Some((*all.min_opt()?, *all.max_opt()?)),
        _ => None,
    }
}

/// Whether all values of a column are null.
fn is_null(row_group: &RowGroupMetaData, column: &str) -> bool {
    let chunk = row_group.columns().iter().find(|chunk| chunk.column_path().string() == column);
    let nulls = chunk.and_then(|chunk| chunk.statistics()?.null_count_opt());
    nulls.is_some_and(|nulls| i64::try_from(nulls) == Ok(row_group.num_rows()))
}

impl<R: ChunkReader + 'static> TableFile<R> {
    /// Of the table `events`: only the rows of commits after `commit`, and those that take effect (`late_at`, else
    /// `ts`) at or after `watermark`. What cannot hold any is passed over unread. Rows are then counted, in errors,
    /// among those read.
    #[must_use]
    pub fn tail(mut self, commit: i64, watermark: Ms) -> TableFile<R> {
        let is_at = |row_group: &RowGroupMetaData, column: &str| {
            range(row_group, column).is_none_or(|(_, greatest)| greatest >= watermark)
        };
        let is_after = |row_group: &RowGroupMetaData| range(row_group, "commit").is_none_or(|(_, last)| last > commit);
        let may_hold = |row_group: &RowGroupMetaData| {
            is_after(row_group)
                || is_at(row_group, "ts")
                || (!is_null(row_group, "late_at") && is_at(row_group, "late_at"))
        };
        let groups = self.builder.metadata().row_groups();
        let near: Vec<usize> = (0..groups.len()).filter(|place| may_hold(&groups[*place])).collect();
        let all_after =
            near.iter().all(|place| range(&groups[*place], "commit").is_some_and(|(first, _)| first > commit));
        self.builder = self.builder.with_row_groups(near);
        if all_after {
            return self;
        }
        let schema = self.builder.parquet_schema();
        let names = ["ts", "late_at", "commit"];
        let leaves = schema.columns().iter().enumerate().filter(|(_, column)| names.contains(&column.name()));
        let mask = ProjectionMask::leaves(schema, leaves.map(|(place, _)| place).collect::<Vec<_>>());
        let predicate = ArrowPredicateFn::new(mask, move |batch| {
            let lacks = || ArrowError::SchemaError("a column of the log is not there".to_owned());
            let instants = |name| {
                let column = batch.column_by_name(name)?;
                column.as_primitive_opt::<TimestampMillisecondType>().cloned()
            };
            let (ts, late_at) = (instants("ts").ok_or_else(lacks)?, instants("late_at").ok_or_else(lacks)?);
            let commits = batch.column_by_name("commit").and_then(|column| column.as_primitive_opt::<Int64Type>());
            let commits = commits.ok_or_else(lacks)?;
            let rows = commits.iter().zip(ts.iter().zip(late_at.iter()));
            // An instant is never less than none.
            let needs = |(of, (ts, late_at))| of > Some(commit) || ts >= Some(watermark) || late_at >= Some(watermark);
            Ok(BooleanArray::from_iter(rows.map(|row| Some(needs(row)))))
        });
        self.builder = self.builder.with_row_filter(RowFilter::new(vec![Box::new(predicate)]));
        self
    }
}
