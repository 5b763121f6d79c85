"""How long a start takes after a kill: sessions without a leave from a real Apache Kafka, SIGKILL, and the time until reading goes on."""
import argparse
import glob
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

from broker import start

parser = argparse.ArgumentParser(description=__doc__)
for name in ("jauge", "examples", "jars", "work"):
    parser.add_argument(f"--{name}", required=True)
for name in ("sessions", "runs"):
    parser.add_argument(f"--{name}", type=int, required=True)
args = parser.parse_args()

PARTITIONS = 4
GIVE_UP = 600
# Events after the sessions, so that a snapshot has a tail behind it: heartbeats of the same viewers.
TAIL = 4


def events(path):
    """Joins of `sessions` viewers, and for each fourth a heartbeat."""
    now = int(time.time() * 1000) - 600_000
    line = '{{"type":"{}","broadcast_id":"b","ts":{},"viewer_id":"{}","session_id":"{}"}}\n'
    with open(path, "w") as file:
        for n in range(args.sessions):
            file.write(line.format("join", now + n * 500_000 // args.sessions, f"viewer-{n}", f"session-{n}"))
        for n in range(0, args.sessions, TAIL):
            file.write(line.format("heartbeat", now + 500_000 + n * 50_000 // args.sessions, f"viewer-{n}", f"session-{n}"))
    return args.sessions + (args.sessions + TAIL - 1) // TAIL


class Run:
    """A run that says what it does in JSON."""

    def __init__(self, broker, out):
        command = [args.jauge, "run", "--brokers", broker, "--topic", "sessions", "--out", out, "--log-format=json"]
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*command, "--commit-interval=1s", "--idle-after=1h", "--lateness=1s"], stderr=subprocess.PIPE, text=True
        )

    def wait_for(self, is_it):
        """The first line for which it holds, and how long after the start it came."""
        for line in self.process.stderr:
            if is_it(json.loads(line)):
                return line, time.monotonic() - self.began
            if time.monotonic() - self.began > GIVE_UP:
                break
        self.process.kill()
        sys.exit("the run ended, or took too long, before it said what was waited for")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def read(count):
    return lambda line: line.get("event") == "commit" and line["ledger"]["read"] >= count


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    broker, address = start(args.jars, f"{args.work}/broker")
    try:
        path = f"{args.work}/sessions.ndjson"
        count = events(path)
        load = [f"{args.examples}/load", address, "sessions", str(PARTITIONS), "none", path, str(count)]
        subprocess.run(load, check=True, stdout=subprocess.DEVNULL)
        out = f"{args.work}/ready"
        first = Run(address, out)
        first.wait_for(read(count))
        # The snapshot is written in the background; it has its name once a commit names it, which nothing tells.
        while not glob.glob(f"{out}/snapshot/*.arrows"):
            if time.monotonic() - first.began > GIVE_UP or first.process.poll() is not None:
                sys.exit("no snapshot was written")
            time.sleep(0.1)
        first.kill()
        going_on = lambda line: "Going on" in line.get("message", "")
        print(f"\n## Start after a kill, {args.sessions:,} open sessions, {count:,} events in the log\n")
        print("| state from | ready after s | what it said |\n|---|---|---|")
        for kind in ("after the kill", "from the log alone"):
            times = []
            for _ in range(args.runs):
                if kind == "from the log alone":
                    shutil.rmtree(f"{out}/snapshot", ignore_errors=True)
                run = Run(address, out)
                line, took = run.wait_for(going_on)
                times.append(took)
                run.kill()
            print(f"| {kind} | {statistics.median(times):.2f} | {json.loads(line)['message']} |", flush=True)
    finally:
        broker.kill()
        broker.wait()


main()
