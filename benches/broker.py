"""A real Apache Kafka on ports of its own, for the benches."""
import os
import socket
import subprocess
import sys
import time

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


def start(jars, work):
    """A broker of our own, and its address."""
    os.makedirs(f"{work}/kafka")
    port, properties = free_port(), f"{work}/kafka/server.properties"
    with open(properties, "w") as file:
        file.write(PROPERTIES.format(port=port, controller=free_port(), work=work))
    java = ["java", "-Xmx1g", "-cp", f"{jars}/*"]
    tool = [*java, "kafka.tools.StorageTool"]
    cluster = subprocess.run([*tool, "random-uuid"], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run([*tool, "format", "-t", cluster, "-c", properties], check=True, stdout=subprocess.DEVNULL)
    log = open(f"{work}/kafka/stdout", "wb")
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
    sys.exit(f"Kafka does not listen: see {work}/kafka/stdout")
