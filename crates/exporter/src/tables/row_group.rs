//! A row group is a stretch of rows whose columns are encoded side by side and then laid into the file one after the
//! other.

use super::chunk::{IdChunk, TextChunk};
use super::columns::Cells;
use super::schema::Type;
use super::{Table, TableError};
use arrow_schema::FieldRef;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::Result;
use parquet::file::writer::SerializedFileWriter;
use std::io::Write;

/// A row group that fills in memory.
pub(super) struct RowGroup {
    table: Table,
    columns: Vec<(FieldRef, Filling)>,
    rows: usize,
}

/// One column of it.
enum Filling {
    /// By Parquet's own encoder, leaf by leaf.
    Leaves(Vec<ArrowColumnWriter>),
    Texts(TextChunk),
    Ids(IdChunk),
}

impl RowGroup {
    /// An empty one, the next of `file`.
    pub(super) fn new<W: Write + Send>(
        table: Table,
        file: &SerializedFileWriter<W>,
        factory: &ArrowRowGroupWriterFactory,
    ) -> Result<RowGroup> {
        let mut writers = factory.create_column_writers(file.flushed_row_groups().len())?.into_iter();
        let mut leaves = file.schema_descr().columns().iter();
        let mut columns = Vec::new();
        for (field, column) in table.schema().fields().iter().zip(table.columns()) {
            let count = if column.ty == Type::Stays { 2 } else { 1 };
            let own: Vec<ArrowColumnWriter> = writers.by_ref().take(count).collect();
            let descr = leaves.by_ref().take(count).next().cloned();
            let filling = match (column.ty, descr) {
                (Type::Id, Some(descr)) => Filling::Ids(IdChunk::new(descr)),
                (Type::Name, Some(descr)) => Filling::Texts(TextChunk::new(descr)),
                _ => Filling::Leaves(own),
            };
            columns.push((field.clone(), filling));
        }
        Ok(RowGroup { table, columns, rows: 0 })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes encoded so far, about.
    pub(super) fn encoded_bytes(&self) -> usize {
        let of = |filling: &Filling| match filling {
            Filling::Leaves(writers) => writers.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum(),
            Filling::Texts(chunk) => chunk.encoded_bytes(),
            Filling::Ids(chunk) => chunk.encoded_bytes(),
        };
        self.columns.iter().map(|(_, filling)| of(filling)).sum()
    }

    /// Appends `rows` rows, column by column.
    pub(super) fn push(&mut self, rows: usize, cells: Vec<Cells<'_>>) -> std::result::Result<(), TableError> {
        let table = self.table;
        if cells.len() != self.columns.len() {
            return Err(TableError::bug(table, format!("{} of {} columns", cells.len(), self.columns.len())));
        }
        self.rows += rows;
        for ((field, filling), cells) in self.columns.iter_mut().zip(cells) {
            let pushed = match (filling, cells) {
                (Filling::Leaves(writers), Cells::Array(array)) => compute_leaves(field, &array).and_then(|leaves| {
                    writers.iter_mut().zip(&leaves).try_for_each(|(writer, leaf)| writer.write(leaf))
                }),
                (Filling::Ids(chunk), Cells::Ids(ids, valid)) => chunk.push(&ids, valid.as_deref()),
                (Filling::Texts(chunk), Cells::Texts(numbers, texts)) => {
                    match chunk.push(&numbers, |number| texts.get(number)) {
                        Ok(Err(unknown)) => {
                            let what = format!("no text of column {} has number {unknown}", field.name());
                            return Err(TableError::bug(table, what));
                        }
                        Ok(Ok(())) => Ok(()),
                        Err(error) => Err(error),
                    }
                }
                _ => return Err(TableError::bug(table, format!("other cells than column {} takes", field.name()))),
            };
            pushed.map_err(|error| TableError::of_write(table, error))?;
        }
        Ok(())
    }

    /// Lays it into `file`.
    pub(super) fn close<W: Write + Send>(self, file: &mut SerializedFileWriter<W>) -> Result<()> {
        let mut row_group = file.next_row_group()?;
        for (_, filling) in self.columns {
            let (bytes, result) = match filling {
                Filling::Leaves(writers) => {
                    writers.into_iter().try_for_each(|writer| writer.close()?.append_to_row_group(&mut row_group))?;
                    continue;
                }
                Filling::Texts(chunk) => chunk.close()?,
                Filling::Ids(chunk) => chunk.close()?,
            };
            row_group.append_column(&bytes, result)?;
        }
        row_group.close()?;
        Ok(())
    }
}
