"""Delegates' libraries: what they are, and why one does not load where the dynamic linker does not say."""

import hashlib
import os
import sys

from agent.frames import PIECE_BYTES


def library_facts(path, tick):
    """What a delegate's library is: its hash, and the name of the file behind the links, which often holds a version.

    None when it cannot be read; loading it then says why.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for piece in iter(lambda: file.read(PIECE_BYTES), b""):
                digest.update(piece)
                tick()
    except OSError:
        return None
    return {"sha256": digest.hexdigest(), "file": os.path.basename(os.path.realpath(path))}


#: machines in an ELF header (e_machine), as far as boards are made of them
ELF_MACHINES = {3: "32-bit x86", 8: "MIPS", 40: "32-bit Arm", 62: "x86-64", 183: "64-bit Arm", 243: "RISC-V"}


def elf_machine(path):
    """(bits, machine number) of a program or library, or None when it is none."""
    with open(path, "rb") as file:
        head = file.read(20)
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    return {1: 32, 2: 64}.get(head[4]), int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")


def library_problem(path):
    """Why the dynamic linker cannot take a library, where it does not say so itself: it calls a foreign one absent."""
    try:
        found, own = elf_machine(path), elf_machine("/proc/self/exe")
    except FileNotFoundError:
        return "there is no %s on the board" % path
    except OSError as error:
        return "%s cannot be read: %s" % (path, error.strerror)
    if found is None:
        return "%s is no shared library: it does not begin with an ELF header" % path
    if own is not None and found != own:
        names = [
            "%s (%s bits)" % (ELF_MACHINES.get(number, "machine %d" % number), bits) for bits, number in (found, own)
        ]
        return "%s is for %s, the board's Python is for %s" % (path, names[0], names[1])
    return None


def without_delegate_noise(unraisable):
    """Prints what cannot be raised, but for one: a runtime's `Delegate` whose library did not load trips over its own
    `__del__`, after the failure itself has been told."""
    finalizer = getattr(unraisable.object, "__qualname__", "")
    if finalizer != "Delegate.__del__" or not isinstance(unraisable.exc_value, AttributeError):
        sys.__unraisablehook__(unraisable)
