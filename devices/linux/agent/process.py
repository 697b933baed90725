"""What a process of the agent asks of the kernel and the C library, by ctypes. A Python without it works nearly as well."""

import atexit
import contextlib
import errno
import os
import signal
import sys

#: numbers of prctl(2)
PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 1, 15, 36
#: setvbuf(3): a line at a time
IOLBF = 1


def load_c_library():
    """The C library, or None. Its functions run with Python's lock held: some end in code that calls Python."""
    try:
        import ctypes

        return ctypes.PyDLL(None)
    except (ImportError, OSError):
        return None


#: once per process and its copies: a copy pays for every page that it has to write
LIBC = load_c_library()


def prctl(number, value):
    """True when the kernel took it."""
    return LIBC is not None and LIBC.prctl(number, value, 0, 0, 0) == 0


def die_with(parent):
    """Makes this process end when its parent does, however that ends."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)  # it died before the request to die with it


def adopt_orphans():
    """Makes this process the parent of what its children leave behind. True when the kernel took it."""
    return prctl(PR_SET_CHILD_SUBREAPER, 1)


def reap_orphans(known):
    """Reaps adopted processes that have ended. Those in `known` are left to whoever waits for them."""
    with contextlib.suppress(ChildProcessError):
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid in known:
                return
            os.waitpid(ended.si_pid, 0)


def set_name(name):
    """What `ps` and `top` call this process: at most 15 bytes."""
    prctl(PR_SET_NAME, name.encode())


def print_lines():
    """Makes C programs print at once: stdout is a pipe now, so C would buffer whole blocks and lose them in a crash."""
    if LIBC is not None:
        import ctypes

        with contextlib.suppress(ValueError, AttributeError):
            LIBC.setvbuf(ctypes.c_void_p.in_dll(LIBC, "stdout"), None, IOLBF, ctypes.c_size_t(0))


def flush():
    """Writes out what Python and C hold back, so that a copy of this process cannot write it a second time."""
    sys.stdout.flush()
    sys.stderr.flush()
    if LIBC is not None:
        LIBC.fflush(None)


def fork_to_fork():
    """A copy of this process that may do nothing but `os.fork` and `os._exit`: 0 in the copy, its id here.

    Python is not told, and does not make it fit to run on: on a slow board that takes as long as the fork. There is a C
    library where there is a fork server: without one nobody could have adopted the copies.

    Raises:
        OSError: the board cannot.
    """
    pid = LIBC.fork()
    if pid < 0:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return pid


def leave(foreign):
    """Ends this process without taking Python down object by object, which would copy every page of a forked process.

    Args:
        foreign: a delegate was loaded, whose libraries may have to write something when C ends a program. Without one
            nothing has, and even that end would take a slow board as long as a model's load.
    """
    flush()
    if foreign:
        atexit._run_exitfuncs()
        flush()
        if LIBC is not None:
            LIBC.exit(0)
    os._exit(0)
