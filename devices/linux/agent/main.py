"""The roles of the agent's archive: `supervise ROOT SHA256`, and what a supervisor starts from it."""

import json
import sys


def main():
    """Modules are imported by role: each is compiled anew in every process, which slow boards notice."""
    archive, role = sys.argv[:2]
    if role == "worker":
        from agent.frames import take_frame_descriptor
        from agent.process import die_with, print_lines, set_name
        from agent.worker import Worker

        frames = take_frame_descriptor()
        print_lines()
        die_with(int(sys.argv[2]))
        set_name("agent-worker")
        Worker(frames).run()
    elif role == "forkserver":
        from agent.forkserver import serve

        serve(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    elif role == "exec":
        from agent.programs import become

        become(int(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4:])
    else:
        from agent.supervisor import supervise

        supervise(archive, sys.argv[2], sys.argv[3])
