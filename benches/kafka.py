"""`jauge run --until-end` from a real Apache Kafka on this machine to committed Parquet, in turn with a drain that only reads."""
import argparse
import shutil
import signal
import subprocess
import sys

from broker import start
from measure import Measured, table

parser = argparse.ArgumentParser(description=__doc__)
for name in ("jauge", "examples", "jars", "events", "work"):
    parser.add_argument(f"--{name}", required=True)
for name in ("records", "runs"):
    parser.add_argument(f"--{name}", type=int, required=True)
args = parser.parse_args()

PARTITIONS = 4
def compare(broker, compression):
    topic = f"w2-{compression}"
    load = [f"{args.examples}/load", broker, topic, str(PARTITIONS), compression, args.events, str(args.records)]
    loaded = subprocess.run(load, check=True, capture_output=True, text=True).stdout
    records = int(loaded.split()[0])
    print(f"\n## Kafka, {records:,} records in {PARTITIONS} partitions, compression {compression}\n")
    drain = Measured("drain, 2 lanes")
    single = Measured("drain, 1 lane")
    run = Measured("`jauge run --until-end`")
    out = f"{args.work}/run"
    for _ in range(args.runs):
        for lanes, measured in ((2, drain), (1, single)):
            said = measured.run([f"{args.examples}/drain", broker, topic, str(lanes)])
            if int(said.split()[0]) != records:
                sys.exit(f"{records} records were loaded, and the drain found: {said}")
        shutil.rmtree(out, ignore_errors=True)
        run.run([args.jauge, "run", "--brokers", broker, "--topic", topic, "--out", out, "--until-end"])
    table([run, drain, single], records, "records")
    print(f"`jauge run` reaches {min(drain.wall, single.wall) / run.wall:.2f} of the quicker drain's records a second.\n", flush=True)


def main():
    # A signal must not leave a broker behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    broker, address = start(args.jars, args.work)
    try:
        for compression in ("none", "lz4"):
            compare(address, compression)
    finally:
        broker.kill()
        broker.wait()


main()
