"""`jauge run --until-end` from a real Apache Kafka on this machine to committed Parquet, in turn with a drain that only reads."""
import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

from measure import Measured, table

parser = argparse.ArgumentParser(description=__doc__)
for name in ("jauge", "examples", "jars", "events", "work"):
    parser.add_argument(f"--{name}", required=True)
for name in ("records", "runs"):
    parser.add_argument(f"--{name}", type=int, required=True)
args = parser.parse_args()

PARTITIONS = 4
LISTENS_WITHIN = 120

PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={work}/kafka/log
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.ms=-1
"""


def free_port():
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


def start():
    """A broker of our own, and its address."""
    os.makedirs(f"{args.work}/kafka")
    port, properties = free_port(), f"{args.work}/kafka/server.properties"
    with open(properties, "w") as file:
        file.write(PROPERTIES.format(port=port, controller=free_port(), work=args.work))
    java = ["java", "-Xmx1g", "-cp", f"{args.jars}/*"]
    tool = [*java, "kafka.tools.StorageTool"]
    cluster = subprocess.run([*tool, "random-uuid"], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run([*tool, "format", "-t", cluster, "-c", properties], check=True, stdout=subprocess.DEVNULL)
    log = open(f"{args.work}/kafka/stdout", "wb")
    broker = subprocess.Popen([*java, "kafka.Kafka", properties], stdout=log, stderr=log)
    deadline = time.monotonic() + LISTENS_WITHIN
    while broker.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return broker, f"127.0.0.1:{port}"
        except OSError:
            # Nothing tells when a port is opened, so this asks again and again.
            time.sleep(0.1)
    broker.kill()
    sys.exit(f"Kafka does not listen: see {args.work}/kafka/stdout")


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
    broker, address = start()
    try:
        for compression in ("none", "lz4"):
            compare(address, compression)
    finally:
        broker.kill()
        broker.wait()


main()
