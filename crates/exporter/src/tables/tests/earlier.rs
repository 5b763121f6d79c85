//! Files of version 1 of the contract, which knew no distinct viewers, are read as what they are.

use super::*;
use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;

/// The small file of `table` without the columns that version 2 brought, its passport of that version or of another.
fn without_distinct(table: Table, contract: Option<&str>) -> Bytes {
    let (_, bytes) = small_files().into_iter().find(|(of, _)| *of == table).unwrap();
    let batch = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap().next().unwrap().unwrap();
    let schema = batch.schema();
    let is_old = |name: &str| !name.starts_with("distinct_") && !name.starts_with("returns");
    let columns = schema.fields().iter().map(|field| field.name().clone()).zip(batch.columns().to_vec());
    let batch = RecordBatch::try_from_iter(columns.filter(|(name, _)| is_old(name))).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    if let Some(contract) = contract {
        writer.append_key_value_metadata(KeyValue::new("jauge.contract".to_owned(), contract.to_owned()));
    }
    Bytes::from(writer.into_inner().unwrap())
}

#[test]
fn a_file_of_version_1_has_no_distinct_viewers() {
    for table in [Table::Minutes, Table::Live] {
        let mut rows = open(table, &without_distinct(table, Some("1"))).minutes(number).unwrap();
        let older = |row| MinuteRow { distinct: None, ..row };
        assert_eq!(rows.next().unwrap().unwrap(), [minute(2, NOON), minute(1, NOON)].map(older));
    }
    let mut rows = open(Table::Airings, &without_distinct(Table::Airings, Some("1"))).airings(number).unwrap();
    let older = |row| AiringRow { distinct: None, ..row };
    assert_eq!(rows.next().unwrap().unwrap(), [airing(2, NOON), empty_airing(1, NOON)].map(older));
    let mut rows =
        open(Table::Corrections, &without_distinct(Table::Corrections, Some("1"))).corrections(number).unwrap();
    let after = rows.next().unwrap().unwrap().remove(0).after;
    assert_eq!(after, Some(MinuteRow { distinct: None, ..minute(2, NOON) }));
}

#[test]
fn a_file_of_version_2_has_them() {
    for table in [Table::Airings, Table::Minutes, Table::Live, Table::Corrections] {
        for contract in [None, Some("2")] {
            let error = read_all(table, &without_distinct(table, contract)).unwrap_err();
            assert!(error.to_string().contains("no column distinct_"), "{table}: {error}");
        }
    }
}

#[test]
fn a_row_of_version_1_is_never_written() {
    let rows = [MinuteRow { distinct: None, ..minute(2, NOON) }];
    let error = write_rows(TableRows::Minutes(&rows), &names(), &Passport::default(), Vec::new()).unwrap_err();
    assert!(error.to_string().contains("version 1"), "{error}");
}
