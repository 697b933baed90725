"""The plan runtime of the Cortex-M firmware, compiled for this machine and called through ctypes."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.support.places import ROOT

DEVICES = ROOT / "devices"
RUNTIME = DEVICES / "cortex_m" / "runtime"
#: all that it needs of another folder but the kernels
CRC32 = DEVICES / "cortex_m" / "protocol" / "crc32.c"
#: as devices/kernels is compiled; `-Wshadow` on top
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow")
INCLUDES = tuple(f"-I{folder}" for folder in (RUNTIME, DEVICES / "cortex_m" / "kernels", DEVICES / "kernels"))
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")

#: the name of the library that build_runtime makes
LIBRARY = "plan_runtime.so"

#: codes of runtime.h
BAD_MODEL, UNSUPPORTED_OP, TOO_LARGE, RUN_FAILED = 8, 9, 6, 10
#: `PlanRefusedError.node` of a complaint that is not about one node
NO_NODE = 0xFFFF

_DTYPES = (np.int8, np.uint8, np.float32, np.int16, np.int32, np.int64)
_GUARD = 0x5A
_GUARD_BYTES = 64


class PlanRefusedError(Exception):
    """What rt_load or rt_invoke answered."""

    def __init__(self, code: int, node: int, text: str) -> None:
        super().__init__(f"code {code}, node {node}: {text}")
        self.code, self.node, self.text = code, node, text


def sources() -> list[str]:
    """The runtime, the portable kernels, and the set of fast kernels that is empty."""
    kernels = [path for path in sorted((DEVICES / "kernels").glob("*.c")) if path.name != "prepare.c"]
    return [
        str(path)
        for path in (*sorted(RUNTIME.glob("plan_*.c")), CRC32, DEVICES / "cortex_m/kernels/fast_none.c", *kernels)
    ]


def compile_host(output: Path, *options: str) -> Path:
    """The runtime and `options` (further sources too) by the host's C compiler.

    Raises:
        RuntimeError: the compiler's messages; a warning is an error.
    """
    command = [os.environ.get("CC", "cc"), *FLAGS, *INCLUDES, "-o", str(output), *options, *sources()]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return output


def build_runtime(folder: Path) -> Path:
    """The runtime as a shared library in `folder`."""
    return compile_host(folder / LIBRARY, "-shared", "-fPIC")


class _Error(ctypes.Structure):
    _fields_ = (("detail", ctypes.c_uint16), ("text", ctypes.c_char_p))


class _Tensor(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("bytes", ctypes.c_uint32))


@dataclass(frozen=True, kw_only=True)
class _Memory:
    """`bytes` usable bytes at a multiple of 16, between guards that must never change."""

    whole: np.ndarray
    start: int
    bytes: int

    @classmethod
    def make(cls, size: int) -> _Memory:
        whole = np.full(size + 2 * _GUARD_BYTES + 16, _GUARD, np.uint8)
        start = _GUARD_BYTES + -(whole.ctypes.data + _GUARD_BYTES) % 16
        return cls(whole=whole, start=start, bytes=size)

    @property
    def view(self) -> np.ndarray:
        return self.whole[self.start : self.start + self.bytes]

    def intact(self) -> bool:
        """Whether nobody wrote beside it."""
        return bool(
            (self.whole[: self.start] == _GUARD).all() and (self.whole[self.start + self.bytes :] == _GUARD).all()
        )


class HostRuntime:
    """One copy of the runtime; it holds one plan at a time, as on the board."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.rt_input.restype = self._library.rt_output.restype = _Tensor
        self._library.rt_ops.restype = self._library.rt_late_ops.restype = ctypes.c_uint64
        self._library.rt_name.restype = ctypes.c_char_p
        self._plan = self._arena = _Memory.make(0)
        self._dtypes: list[type] = []

    def load(self, plan: bytes, *, arena_bytes: int | None = None) -> None:
        """Validates `plan` and keeps it, in an arena of `arena_bytes` (default: as much as its header asks for).

        Raises:
            PlanRefusedError: with the runtime's code, node and reason; nothing is loaded then.
        """
        words = np.frombuffer(plan[: len(plan) // 4 * 4], "<u4")
        if arena_bytes is None:
            arena_bytes = int(words[3]) if words.size > 3 else 0
        self._plan, self._arena = _Memory.make(len(plan)), _Memory.make(arena_bytes)
        self._plan.view[:] = np.frombuffer(plan, np.uint8)
        error = _Error()
        code = self._library.rt_load(
            ctypes.c_void_p(self._plan.view.ctypes.data),
            ctypes.c_uint32(len(plan)),
            ctypes.c_void_p(self._arena.view.ctypes.data),
            ctypes.c_uint32(arena_bytes),
            ctypes.byref(error),
        )
        if code:
            raise PlanRefusedError(code, error.detail, error.text.decode())
        table = words[int(words[7]) // 4 :]
        self._dtypes = [_DTYPES[int(table[4 * i + 2])] for i in range(int(words[8] + words[9]))]

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference. Arrays are flat or shaped, of the plan's types; outputs come back flat.

        Raises:
            ValueError: the inputs are not those of the plan.
            PlanRefusedError: nothing is loaded.
            MemoryError: the runtime wrote beside the arena, or into the plan.
        """
        count = self._library.rt_input_count()
        if len(inputs) != count:
            raise ValueError(f"the plan has {count} inputs, not {len(inputs)}")
        for index, values in enumerate(inputs):
            tensor = self._library.rt_input(index)
            if values.nbytes != tensor.bytes or values.dtype != self._dtypes[index]:
                raise ValueError(
                    f"input {index}: {values.dtype}, {values.nbytes} bytes; the plan has "
                    f"{np.dtype(self._dtypes[index])}, {tensor.bytes} bytes"
                )
            ctypes.memmove(tensor.data, np.ascontiguousarray(values).ctypes.data, tensor.bytes)
        before = self._plan.view.tobytes()
        error = _Error()
        code = self._library.rt_invoke(ctypes.byref(error))
        if code:
            raise PlanRefusedError(code, error.detail, error.text.decode())
        if not self._arena.intact() or not self._plan.intact() or self._plan.view.tobytes() != before:
            raise MemoryError("the runtime wrote outside its arena")
        outputs = [self._library.rt_output(i) for i in range(self._library.rt_output_count())]
        return [
            np.frombuffer(ctypes.string_at(tensor.data, tensor.bytes), self._dtypes[count + i])
            for i, tensor in enumerate(outputs)
        ]

    def reset(self) -> None:
        """What the plan keeps between inferences is as it was when it was loaded."""
        error = _Error()
        assert self._library.rt_reset(ctypes.byref(error)) == 0

    def unload(self) -> None:
        self._library.rt_unload()

    @property
    def arena_used(self) -> int:
        """Bytes of arena that the loaded plan takes; 0 without one."""
        return self._library.rt_arena_used()

    @property
    def ops(self) -> int:
        """Bit n: op n of plan.h."""
        return self._library.rt_ops() | self._library.rt_late_ops() << 64

    @property
    def name(self) -> str:
        return self._library.rt_name().decode()
