"""CPU, memory, open files and start of each process that serves, as prometheus_client shows them of
one process: its own collector does not work with several.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PROC = Path("/proc")


class Processes(Collector):
    """The processes of the ids that `pids` gives, read from /proc when scraped; nothing where there
    is no /proc.
    """

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        """One sample for each process, labelled by its id."""
        labels = ["pid"]
        cpu = CounterMetricFamily("process_cpu_seconds", "CPU time, user and system", labels=labels)
        memory = GaugeMetricFamily(
            "process_resident_memory_bytes", "Resident memory", labels=labels
        )
        files = GaugeMetricFamily("process_open_fds", "Open file descriptors", labels=labels)
        start = GaugeMetricFamily(
            "process_start_time_seconds", "Start of the process, seconds since 1970", labels=labels
        )
        for pid in sorted(self._pids()):
            try:
                found = _read(pid)
            except (OSError, ValueError):  # it has ended, or there is no /proc
                continue
            cpu.add_metric([str(pid)], found[0])
            for family, value in zip((memory, files, start), found[1:], strict=True):
                family.add_metric([str(pid)], value)
        yield from (cpu, memory, files, start)


def _read(pid: int) -> tuple[float, float, float, float]:
    # proc(5): the fields of stat after the name in parentheses, which may hold spaces
    folder = PROC / str(pid)
    stat = (folder / "stat").read_text().rpartition(")")[2].split()
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    booted = next(
        float(line.split()[1])
        for line in (PROC / "stat").read_text().splitlines()
        if line.startswith("btime")
    )
    cpu = (int(stat[11]) + int(stat[12])) / ticks
    opened = sum(1 for _ in (folder / "fd").iterdir())
    return cpu, int(stat[21]) * page, opened, booted + int(stat[19]) / ticks
