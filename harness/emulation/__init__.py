"""Boards made of QEMU: emulated twins of real boards, for everything but true times."""
