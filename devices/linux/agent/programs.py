"""A vendor's own program on the board: no shell, a group of its own that ends with the request."""

import json
import os
import sys
import time

from agent.child import start_process
from agent.process import die_with, print_lines

#: of a program's own output, whose table has a line per node
PROGRAM_BYTES = 1 << 20


def run_program(loop, archive, command, environment, affinity, deadline_s):
    """(exit code or None when it was ended at its deadline, the last MiB that it printed)."""
    before = [sys.executable, archive, "exec", str(os.getpid()), json.dumps(affinity)]
    child = start_process(loop, before + command, environment, PROGRAM_BYTES)
    ends = time.monotonic() + deadline_s
    try:
        while not child.has_exited() and time.monotonic() < ends:
            loop.wait(ends)
        late = not child.has_exited()
        code = child.kill()
        child.drain(loop, 0.05)
    finally:
        child.kill()
        child.close(loop)
    return None if late else code, child.log_bytes()


def become(parent, affinity, command):
    """Turns this process into a program, bound to its CPUs, that ends when the agent does."""
    print_lines()
    die_with(parent)
    try:
        if affinity:
            os.sched_setaffinity(0, affinity)
        os.execv(command[0], command)
    except OSError as error:
        sys.exit("%s cannot be run: %s" % (command[0], error.strerror))
