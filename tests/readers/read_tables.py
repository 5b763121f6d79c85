"""Reads each table of a data directory as its users do, with DuckDB, Polars and pandas, checks that the three agree in every
cell, and prints one line of JSON a table: its rows, and the sum of each integer column.

    read_tables.py DIR
"""
import datetime
import json
import pathlib
import sys

import duckdb
import pandas
import polars

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
TABLES = ("airings", "minutes", "sessions", "retweets", "live", "rejected")


def by_duckdb(folder):
    relation = duckdb.sql(f"SELECT * FROM read_parquet('{folder}/*/*.parquet', hive_partitioning = true)")
    return relation.columns, relation.fetchall()


def by_polars(folder):
    frame = polars.read_parquet(f"{folder}/*/*.parquet", hive_partitioning=True)
    return frame.columns, frame.rows()


def by_pandas(folder):
    # Of the types that pandas can hold, Arrow's alone keep an integer an integer beside a null.
    frame = pandas.read_parquet(folder, dtype_backend="pyarrow")
    return list(frame.columns), list(frame.itertuples(index=False, name=None))


def plain(value):
    """A cell as every reader can say it."""
    if value is None or value is pandas.NA or value is pandas.NaT:
        return None
    if isinstance(value, datetime.datetime):
        # pandas counts in ns, below its own microseconds: an instant of ours has none.
        assert getattr(value, "nanosecond", 0) == 0, value
        ms, rest = divmod(value - EPOCH, datetime.timedelta(milliseconds=1))
        assert not rest, value
        return int(ms)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, str):
        return value
    return [[bucket["ms"], bucket["sessions"]] for bucket in value]


def rows_of(reader, folder):
    columns, rows = reader(folder)
    assert "date" in columns, f"{reader.__name__} finds no date folders in {folder}"
    kept = [(name, place) for place, name in enumerate(columns) if name != "date"]
    plainly = [[plain(row[place]) for _, place in kept] for row in rows]
    return [name for name, _ in kept], sorted(plainly, key=json.dumps)


def main(directory):
    for table in TABLES:
        folder = directory / table
        if not folder.is_dir():
            continue
        columns, rows = rows_of(by_duckdb, folder)
        for reader in (by_polars, by_pandas):
            found = rows_of(reader, folder)
            assert found[0] == columns, f"{table}: {reader.__name__} finds the columns {found[0]}, DuckDB {columns}"
            assert len(found[1]) == len(rows), f"{table}: {reader.__name__} finds {len(found[1])} rows, DuckDB {len(rows)}"
            for one, other in zip(rows, found[1]):
                assert one == other, f"{table}: DuckDB reads {one}, {reader.__name__} {other}"
        sums = {}
        for place, name in enumerate(columns):
            cells = [row[place] for row in rows if row[place] is not None]
            if all(isinstance(cell, int) for cell in cells):
                sums[name] = sum(cells)
        print(json.dumps({"table": table, "rows": len(rows), "sums": sums}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
