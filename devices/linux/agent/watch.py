"""What went on around a timing: the sensors before, during and after it, and who else had the processor meanwhile.

The counters are the kernel's: `/proc/stat` for all processes together (in ticks, of a hundredth of a second mostly), this
process's own by `getrusage`, and the time for which its threads were ready to run and did not (`/proc/self/task/*/schedstat`).
"""

import os
import re
import resource
import time

from agent.sensors import Files

PROC = Files("/proc")
#: readings that are kept of one timing, beside the first and the last
MOST_LOOKS = 8
#: fields of a line of /proc/stat behind its name, in ticks (proc(5))
USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL = range(8)
BUSY = (USER, NICE, SYSTEM, IRQ, SOFTIRQ)
#: where in /proc/self/stat behind the name the processor stands that the process ran on last
LAST_CPU = 36
STAT_BYTES = 1 << 20


def current_cpu():
    """The processor that this process runs on."""
    fields = (PROC.text("self/stat") or "").rpartition(")")[2].split()
    return int(fields[LAST_CPU]) if len(fields) > LAST_CPU else 0


def all_processes():
    """(busy ns, stolen ns, processors) of all processes together; None for a kernel that does not tell."""
    text = PROC.text("stat", STAT_BYTES) or ""
    total = re.match(r"cpu +([\d ]+)", text)
    if not total:
        return None, None, None
    ticks = [int(n) for n in total.group(1).split()]
    tick_ns = 1000000000 // os.sysconf("SC_CLK_TCK")
    stolen = ticks[STEAL] * tick_ns if len(ticks) > STEAL else None
    busy = sum(ticks[i] for i in BUSY if i < len(ticks)) * tick_ns
    return busy, stolen, len(re.findall(r"^cpu\d+ ", text, re.MULTILINE)) or None


def waited_ns():
    """How long this process's threads were ready and had no processor, since they began; None where nobody counts it."""
    total = None
    for thread in PROC.names("self/task"):
        fields = (PROC.text("self/task/%s/schedstat" % thread) or "").split()
        if len(fields) == 3:
            total = (total or 0) + int(fields[1])
    return total


class Counters:
    """The counters at one moment."""

    def __init__(self):
        self.now = time.perf_counter_ns()
        used = resource.getrusage(resource.RUSAGE_SELF)
        self.own = round((used.ru_utime + used.ru_stime) * 1e9)
        self.yielded, self.preempted = used.ru_nvcsw, used.ru_nivcsw
        self.waited = waited_ns()
        self.busy, self.stolen, self.cpus = all_processes()


def since(before, after):
    """How much a counter rose; None where it is not told, and 0 where the kernel set it back."""
    return None if before is None or after is None else max(after - before, 0)


class Watch:
    """One timing: `begin`, `look` now and then, `end`."""

    def __init__(self, sensors, cpus=()):
        """
        Args:
            cpus: the processors that the worker is bound to; none: whichever it is on.
        """
        self.sensors = sensors
        self.cpus = cpus

    def reading(self):
        return self.sensors.reading(self.cpus[0] if self.cpus else current_cpu())

    def begin(self):
        self.before, self.during = self.reading(), []
        self.began = Counters()

    def look(self):
        if len(self.during) < MOST_LOOKS:
            self.during.append(self.reading())

    def end(self):
        """The host's `Surroundings`."""
        began, ended = self.began, Counters()
        return {
            "before": self.before,
            "during": self.during,
            "after": self.reading(),
            "simulated": self.sensors.simulated,
            "wall_ns": ended.now - began.now,
            "own_cpu_ns": max(ended.own - began.own, 0),
            "busy_cpu_ns": since(began.busy, ended.busy),
            "steal_ns": since(began.stolen, ended.stolen),
            "waited_ns": since(began.waited, ended.waited),
            "yielded": max(ended.yielded - began.yielded, 0),
            "preempted": max(ended.preempted - began.preempted, 0),
            "cpus": ended.cpus,
        }
