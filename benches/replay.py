"""`jauge replay` of a file of events, whole processes, in turn with chDB's best query for the curve, page cache warm."""
import argparse
import glob
import json
import os
import shutil
import subprocess
import sys

from measure import Measured, table, warm

parser = argparse.ArgumentParser(description=__doc__)
for name in ("jauge", "events", "work"):
    parser.add_argument(f"--{name}", required=True)
parser.add_argument("--runs", type=int, required=True)
parser.add_argument("--peers")
parser.add_argument("--memory-only", metavar="TITLE", help="only the peak of memory, under this title")
args = parser.parse_args()

MEMORY = ["64MiB", "256MiB", "1GiB"]


def replay(measured, *more):
    out = os.path.join(args.work, "out")
    shutil.rmtree(out, ignore_errors=True)
    measured.run([args.jauge, "replay", args.events, "--out", out, *more])
    return out


def main():
    events = warm(args.events)
    size = f"{events:,} events, {os.path.getsize(args.events) / 1e6:,.0f} MB of NDJSON"
    if args.memory_only:
        print(f"\n## {args.memory_only}: {size}\n")
        return memory(events)
    print(f"\n## replay of {size}\n")
    minutes, whole = Measured("jauge, `--tables minutes`"), Measured("jauge, all tables")
    peer = Measured("chDB") if args.peers else None
    curve = os.path.join(args.work, "chdb.parquet")
    for _ in range(args.runs):
        replay(minutes, "--tables", "minutes")
        if peer:
            query = os.path.join(args.peers, "q_chdb.py")
            peer.run([sys.executable, query, args.events, curve, "array-visit"])
        out = replay(whole)
    table([minutes, whole] + [peer] * bool(peer), events, "events", peer)
    if peer:
        # In a process of its own: a child's peak of memory begins with what its parent holds.
        exact = os.path.join(os.path.dirname(__file__), "exact.py")
        truth = os.path.join(os.path.dirname(args.events), "oracle_w2.parquet")
        subprocess.run([sys.executable, exact, out, truth, curve], check=True)
    else:
        subprocess.run([args.jauge, "verify", out], check=True, stdout=subprocess.DEVNULL)
        ledger(out, events)
    memory(events)


def memory(events):
    """The peak of memory under several `--memory`."""
    rows = []
    for memory in MEMORY:
        for name, more in ((f"`--memory {memory} --tables minutes`", ["--tables", "minutes"]), (f"`--memory {memory}`", [])):
            rows.append(Measured(name))
            replay(rows[-1], "--memory", memory, *more)
    table(rows, events, "events")


def ledger(out, events):
    """Every line was read, and none rejected."""
    manifest = sorted(glob.glob(f"{out}/commits/*/*.json"))[-1]
    with open(manifest) as file:
        found = json.load(file)["ledger"]
    if (found["read"], found["accepted"]) != (events, events):
        sys.exit(f"{events} events went in, and the ledger says {found}")
    print(f"`jauge verify` finds nothing wrong, and the ledger has all {events:,} events.\n")


main()
