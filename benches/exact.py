"""Compares the minutes in a data directory with the generator's truth and with the peer's curve: exact.py DIR TRUTH CURVE."""
import glob
import sys

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq


def agree(out, truth, curve):
    """Compares minutes with the generator's truth, row by row, where the two conventions say the same."""
    def rows(table, columns):
        return {(key[0], key[1]): key[2:] for key in zip(*(table[column].to_pylist() for column in columns))}

    found = pa.concat_tables(pq.read_table(file) for file in glob.glob(f"{out}/minutes/*/*.parquet"))
    minute = pa.compute.divide(found["minute_at"].cast(pa.int64()), 60_000)
    found = rows(
        found.append_column("minute", minute),
        ["broadcast_id", "minute", "joins", "leaves", "viewers_start", "viewers_max", "viewers_mean"],
    )
    columns = ["broadcast_id", "minute", "joins", "leaves", "viewers_start", "peak", "avg"]
    truth, peer = (rows(pq.read_table(file), columns) for file in (truth, curve))
    if peer != truth:
        sys.exit("the peer does not agree with the truth")
    last = {}
    for broadcast, minute in truth:
        last[broadcast] = max(minute, last.get(broadcast, 0))
    equal = at_end = at_edge = 0
    wrong = sorted(found.keys() ^ truth.keys())
    for key in found.keys() & truth.keys():
        (*counts, most, mean), (*true_counts, true_most, true_mean) = found[key], truth[key]
        if found[key] == truth[key]:
            equal += 1
        elif counts == true_counts and key[1] == last[key[0]] and most <= true_most and mean <= true_mean:
            at_end += 1
        elif counts == true_counts and mean == true_mean and most < true_most == true_counts[2]:
            at_edge += 1
        else:
            wrong.append(key)
    if wrong:
        sys.exit(f"NOT EXACT: {len(wrong)} minutes differ from the truth, the first {wrong[:3]}")
    print(
        f"Exact: of {len(truth):,} minutes {equal:,} equal the truth in every column. {at_end:,} are the last of their broadcast, where the "
        f"contract closes who is still there and the peers do not; joins, leaves and viewers_start are equal. In {at_edge:,} the peers' peak "
        f"is the level just before the minute, which its first millisecond ends: by the contract a count that lasts no time is no audience.\n"
    )


agree(*sys.argv[1:])
