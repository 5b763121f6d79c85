//! How a file is laid out, read off its own end.

use super::*;
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};

fn metadata(bytes: &Bytes) -> ParquetMetaData {
    ParquetMetaDataReader::new().parse_and_finish(bytes).unwrap()
}

fn column<'a>(metadata: &'a ParquetMetaData, path: &str) -> &'a ColumnChunkMetaData {
    let columns = metadata.row_group(0).columns();
    columns.iter().find(|column| column.column_path().string() == path).unwrap()
}

#[test]
fn pseudonyms_lie_plain_and_uncompressed_and_little_else_does() {
    for (table, bytes) in small_files() {
        let metadata = metadata(&bytes);
        for path in ["viewer", "session"] {
            if table.schema().column_with_name(path).is_none() {
                continue;
            }
            let column = column(&metadata, path);
            assert_eq!(column.compression(), Compression::UNCOMPRESSED, "{table}.{path}");
            assert_eq!(column.dictionary_page_offset(), None, "{table}.{path}");
            assert_eq!(column.encodings().collect::<Vec<_>>(), [Encoding::PLAIN, Encoding::RLE], "{table}.{path}");
        }
        for path in ["airing_at", "joins", "stays.list.element.ms", "via", "tweet_id", "payload", "commit"] {
            if table.schema().column_with_name(path.split('.').next().unwrap()).is_some() {
                assert!(matches!(column(&metadata, path).compression(), Compression::ZSTD(_)), "{table}.{path}");
            }
        }
    }
}

#[test]
fn every_column_has_statistics_and_the_file_says_how_it_is_sorted() {
    for (table, bytes) in small_files() {
        let metadata = metadata(&bytes);
        let row_group = metadata.row_group(0);
        for column in row_group.columns() {
            let statistics = column.statistics().unwrap();
            let values = column.num_values().cast_unsigned() - statistics.null_count_opt().unwrap();
            let stated = statistics.min_bytes_opt().is_some() && statistics.max_bytes_opt().is_some();
            assert!(stated || values == 0, "{table}.{}: {statistics:?}", column.column_path());
        }
        let sorted = row_group.sorting_columns().unwrap().iter().map(|by| {
            assert!(by.nulls_first && !by.descending);
            row_group.column(usize::try_from(by.column_idx).unwrap()).column_path().string()
        });
        assert_eq!(sorted.collect::<Vec<_>>(), table.sorted_by(), "{table}");
    }
}

#[test]
fn texts_and_pseudonyms_are_bounded_by_their_own_statistics() {
    let (_, bytes) = small_files().into_iter().find(|(table, _)| *table == Table::Events).unwrap();
    let metadata = metadata(&bytes);
    let bounds = |path: &str| {
        let statistics = column(&metadata, path).statistics().unwrap();
        let of = |bound: Option<&[u8]>| bound.unwrap().to_vec();
        (of(statistics.min_bytes_opt()), of(statistics.max_bytes_opt()), statistics.null_count_opt().unwrap())
    };
    assert_eq!(bounds("broadcast_id"), (b"a".to_vec(), b"a".to_vec(), 0));
    assert_eq!(bounds("type"), (b"end".to_vec(), b"retweet".to_vec(), 0));
    assert_eq!(bounds("viewer"), (5u128.to_be_bytes().to_vec(), 5u128.to_be_bytes().to_vec(), 2));
    assert_eq!(bounds("session"), (4u128.to_be_bytes().to_vec(), 4u128.to_be_bytes().to_vec(), 2));
}

#[test]
fn row_groups_end_at_their_rows_or_their_bytes() {
    let rows: Vec<SessionRow> = (0..1_200_000).map(|viewer| session(2, viewer, NOON)).collect();
    let bytes = written(TableRows::Sessions(&rows, &Details::new()));
    let metadata = metadata(&bytes);
    let sizes = metadata.row_groups().iter().map(|group| (group.num_rows(), group.compressed_size()));
    assert!(sizes.clone().all(|(rows, bytes)| rows <= 1 << 20 && bytes < 36 << 20), "{:?}", sizes.collect::<Vec<_>>());
    assert_eq!(sizes.map(|(rows, _)| rows).sum::<i64>(), 1_200_000);

    let empty: Vec<MinuteRow> = (0..1_100_000).map(|_| MinuteRow { stays: Vec::new(), ..minute(2, NOON) }).collect();
    let metadata = self::metadata(&written(TableRows::Minutes(&empty)));
    assert_eq!(metadata.row_groups().iter().map(RowGroupMetaData::num_rows).collect::<Vec<_>>(), [1 << 20, 51_424]);
}

#[test]
fn rows_may_come_in_many_pushes() {
    let rows: Vec<SessionRow> = (0..50_000).map(|viewer| session(2, viewer, NOON)).collect();
    let mut writer = TableWriter::new(Table::Sessions, &Passport::default(), Vec::new()).unwrap();
    for some in rows.chunks(777) {
        writer.push(TableRows::Sessions(some, &Details::new()), &names()).unwrap();
    }
    let bytes = Bytes::from(writer.finish().unwrap());
    let back: Vec<_> =
        open(Table::Sessions, &bytes).sessions(number).unwrap().flat_map(|batch| batch.unwrap().0).collect();
    assert_eq!(back, rows);
}

#[test]
fn the_passport_travels_with_the_file_and_an_empty_file_is_a_file() {
    let passport = Passport { version: Some("0.1.0".into()), input: Some("é".into()), ..Passport::default() };
    for table in Table::ALL {
        let writer = TableWriter::new(table, &passport, Vec::new()).unwrap();
        let bytes = Bytes::from(writer.finish().unwrap());
        let file = open(table, &bytes);
        assert_eq!((file.passport(), file.rows()), (&passport, 0));
        assert_eq!(read_all(table, &bytes).unwrap(), 0);
    }
}

#[test]
fn equal_rows_are_equal_bytes() {
    let (one, other) = (small_files(), small_files());
    assert_eq!(one, other);
}

#[test]
fn one_broadcast_is_read_alone() {
    let mut rows: Vec<SessionRow> =
        [2, 1, 0].into_iter().flat_map(|it| (0..30_000).map(move |v| session(it, v, NOON))).collect();
    rows.push(session(3, 1, NOON));
    let bytes = written(TableRows::Sessions(&rows, &Details::new()));
    for (id, broadcast, count) in [("a", 2, 30_000), ("b", 1, 30_000), ("📺", 3, 1), ("zz", 9, 0)] {
        let file = open(Table::Sessions, &bytes).of_broadcast(id);
        let back: Vec<_> = file.sessions(number).unwrap().flat_map(|batch| batch.unwrap().0).collect();
        assert_eq!(back.len(), count, "{id}");
        assert!(back.iter().all(|row| row.broadcast == broadcast));
    }
}
