"""Keeps a QEMU from outliving the process that started it, also when that one is killed with -9. Run as a script.

    python -I -S guard.py LIFELINE_FD LOCK_FD RUN_DIR PROGRAM ARGUMENTS...

The guard starts the program and ends it as soon as the other end of the lifeline (a pipe) is closed, or the process that
started the guard is gone. Should the guard itself be killed, the kernel kills the program (PR_SET_PDEATHSIG; that is why a
process of one thread has to start it: the signal is sent when the *thread* ends that forked). The byte "d" through the
lifeline detaches: from then on the program runs until the guard is told to end by SIGTERM. LOCK_FD stays open for as long
as the guard lives. RUN_DIR is removed at the end, unless the program ended by itself and its owner may want the logs.
Only the standard library's quick parts are imported: this is part of every start.
"""

import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1
_CHECK_MS = 500


def main(argv):
    lifeline, lock, run_dir, command = int(argv[1]), int(argv[2]), argv[3], argv[4:]
    signal.signal(signal.SIGTERM, lambda *_: None)  # noticed as an interrupted poll, below
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    parent, guard = os.getppid(), os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(command, guard, (lifeline, lock, wake_read, wake_write))
    keep = sorted({0, 1, 2, lifeline, lock, wake_read, wake_write})
    for low, high in zip(keep, [*keep[1:], 4096], strict=True):
        os.closerange(low + 1, high)
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    for fd in (pidfd, wake_read, lifeline):
        poll.register(fd, select.POLLIN | select.POLLHUP)
    detached = False
    while True:
        ready = {fd for fd, _ in poll.poll(_CHECK_MS)}
        if lifeline in ready and not detached:
            detached = os.read(lifeline, 1) == b"d"
            poll.unregister(lifeline)
            if detached:
                continue
        if ready or (not detached and os.getppid() != parent):
            break
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    if detached or pidfd not in ready:
        _remove(run_dir)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become(command, guard, close):
    """In the child: dies with the guard, keeps none of its descriptors, becomes the program."""
    import ctypes

    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(125)  # the guard died before the line above
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for fd in close:
            os.close(fd)
        os.execv(command[0], command)
    except BaseException as error:
        os.write(2, f"guard: {command[0]}: {error}\n".encode())
    os._exit(126)


def _remove(run_dir):
    """The run's folder is flat."""
    try:
        for entry in os.scandir(run_dir):
            os.unlink(entry.path)
        os.rmdir(run_dir)
    except OSError as error:
        os.write(2, f"guard: {error}\n".encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv))
