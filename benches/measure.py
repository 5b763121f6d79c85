"""A measurement is one whole process: its wall clock, its processor time, its peak of memory, and the load of the machine meanwhile."""
import os
import statistics
import subprocess
import sys
import time


class Measured:
    """Medians of several runs of one command."""

    def __init__(self, name):
        self.name, self.runs = name, []

    def run(self, command, **more):
        """Runs the command to its end, which must be good, and gives its standard output."""
        before, start = busy(), time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        # Both pipes are read to their ends before the process is reaped, so it never waits for us.
        out, err = drain(process)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall, cpu = time.monotonic() - start, used.ru_utime + used.ru_stime
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{err.decode()[-2000:]}")
        self.runs.append((wall, cpu, used.ru_maxrss / 1024, max(0.0, busy() - before - cpu)))
        return out.decode()

    def median(self, column):
        return statistics.median(run[column] for run in self.runs)

    wall = property(lambda self: self.median(0))
    cpu = property(lambda self: self.median(1))
    rss = property(lambda self: self.median(2))
    others = property(lambda self: self.median(3))


def drain(process):
    """Standard output and error, without reaping the process: `communicate` would take its resource usage away."""
    import threading

    err = []
    reader = threading.Thread(target=lambda: err.append(process.stderr.read()))
    reader.start()
    out = process.stdout.read()
    reader.join()
    return out, err[0]


def busy():
    """Seconds of processor time that the machine has spent, all processes together."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _wait, irq, softirq = map(int, stat.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def table(rows, count, what, base=None):
    """Markdown: medians, records a second, and each beside `base`."""
    print(f"| | wall s | CPU s | peak MiB | {what}/s | CPU s of others |" + (f" {base.name} takes |" if base else ""))
    print("|---|---|---|---|---|---|" + ("---|" if base else ""))
    for row in rows:
        line = f"| {row.name} | {row.wall:.2f} | {row.cpu:.2f} | {row.rss:.0f} | {count / row.wall / 1e6:.2f} M | {row.others:.1f} |"
        if base:
            ratio = f"{base.wall / row.wall:.2f}× wall, {base.cpu / row.cpu:.2f}× CPU, {base.rss / row.rss:.1f}× memory"
            line += f" {'' if row is base else ratio} |"
        print(line)
    print(flush=True)


def warm(path):
    """Reads a file once, so that it lies in the page cache, and counts its lines."""
    lines = 0
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 22):
            lines += block.count(b"\n")
    return lines
