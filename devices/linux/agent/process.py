"""What a process of the agent asks of the kernel and the C library. Without ctypes it works nearly as well."""

import contextlib
import os
import signal

#: numbers of prctl(2)
PR_SET_PDEATHSIG = 1
#: setvbuf(3): a line at a time
IOLBF = 1


def c_library():
    """The C library by ctypes, or None on a Python without it."""
    try:
        import ctypes

        return ctypes.CDLL(None, use_errno=True)
    except (ImportError, OSError):
        return None


def prctl(number, value):
    """True when the kernel took it."""
    libc = c_library()
    return libc is not None and libc.prctl(number, value, 0, 0, 0) == 0


def die_with(parent):
    """Makes this process end when its parent does, however that ends."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)  # it died before the request to die with it


def print_lines():
    """Makes C programs print at once: stdout is a pipe now, so C would buffer whole blocks and lose them in a crash."""
    libc = c_library()
    if libc is not None:
        import ctypes

        with contextlib.suppress(ValueError, AttributeError):
            libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, IOLBF, ctypes.c_size_t(0))
