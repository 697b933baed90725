"""The agent: runs TensorFlow Lite models on a Linux board for the harness. Python 3.8 or newer, and numpy.

`boot.py` starts it as a supervisor that talks frames (docs/internals/agent-protocol.md) with the host over stdin and stdout. Each
cell runs in a worker, a process in a session of its own: delegates crash, hang and print on stdout. The
supervisor never imports a runtime. It owns deadlines, notices when the host is gone, and leaves nothing but its cache.

The host sends the package as one archive (harness/links/archive.py), from which it is imported.
"""
