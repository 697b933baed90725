"""A folder of .wav files per class. Needs soundfile, the extra `[audio]`."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import MissingPartError, UserInputError
from harness.core.files import open_regular
from harness.core.memory import require_memory
from harness.project.settings import DataSettings, PreprocessingSettings
from harness.workloads.sources.files import Listed, Tree, list_tree
from harness.workloads.sources.parts import Found, Part, Wanted

SUFFIXES = (".wav", ".flac")
_MAX_FRAMES = 1 << 26
#: what a float file may pass full scale by (24 dB): beyond that it is on another scale
_MOST_AMPLITUDE = 16.0
#: what writers that cannot seek leave as a length: nothing, or all ones, with or without a sign
_UNKNOWN_BYTES = (0, 0x7FFFFFFF, 0xFFFFFFFF)


def read_sounds(root: Path, data: DataSettings, preprocessing: PreprocessingSettings, wanted: Wanted) -> Found:
    """The sounds of a folder as float32 in -1..1, one channel, of the model's length.

    Raises:
        UserInputError: a file that is no sound, several rates without `rate_hz`, or a model that takes no waveform.
        MissingPartError: soundfile is not installed.
    """
    _soundfile(root)
    tree = list_tree(root, SUFFIXES, data.classes)
    length = _length(wanted, root)
    rates: Counter[int] = Counter()
    channels: Counter[int] = Counter()
    longest = 0
    for part in (*tree.parts.values(), *([tree.whole] if tree.whole is not None else [])):
        for file in part.files:
            header = _header(file)
            rates[header[0]] += 1
            channels[header[1]] += 1
            longest = max(longest, math.ceil(header[2] * (preprocessing.rate_hz or header[0]) / header[0]))
    if len(rates) > 1 and preprocessing.rate_hz is None:
        told = " and ".join(f"{count:,} files of {rate:,} Hz" for rate, count in rates.most_common())
        raise UserInputError(
            f"holds sound of several rates: {told}",
            where=str(root),
            hint="write the rate that the model takes as rate_hz = ... under [preprocessing]",
        )
    rate = preprocessing.rate_hz or next(iter(rates))
    length = length or longest
    listed = {name: _part(tree, part, rate, length, wanted) for name, part in tree.parts.items()}
    whole = _part(tree, tree.whole, rate, length, wanted) if tree.whole is not None else None
    count = f"{len(tree.classes)} classes" if tree.classes else "no classes"
    found = Found(what=f"a folder of sounds, {count}", parts=listed, whole=whole, classes=tree.classes)
    found.evidence["data.classes"] = (
        f"{len(tree.classes)} folders, {tree.order}" if tree.classes else "no folders of classes"
    )
    words = (
        f"{', '.join(f'{n:,} files of {r:,} Hz' for r, n in rates.most_common(3))}; the model takes {length:,} values"
    )
    if set(channels) != {1}:
        words += "; several channels are averaged"
    if tree.ignored:
        found.evidence["data.path"] = f"{tree.ignored} files that are no sounds are left alone"
    found.evidence["preprocessing.rate_hz"] = f"{words}: longer sound is cut at its end, shorter filled with silence"
    return found


def _soundfile(root: Path) -> None:
    try:
        import soundfile  # noqa: F401
    except (ImportError, OSError):  # OSError: the C library is missing
        raise MissingPartError(
            "reading sound needs soundfile", where=str(root), hint="pip install 'tflite-hil-harness[audio]'"
        ) from None


def _length(wanted: Wanted, root: Path) -> int | None:
    shape = wanted.sample_shape
    if shape is None:
        return None
    long = [size for size in shape if size != 1]
    if len(long) > 1:
        raise UserInputError(
            f"the model takes samples of shape {list(shape)}, which is no waveform",
            where=str(root),
            hint="a model of spectrograms takes those: compute them by a function of your own, --data module:function",
        )
    return long[0] if long and long[0] > 0 else None


def _header(file: Path) -> tuple[int, int, int]:
    """Rate in Hz, channels and frames."""
    import soundfile

    return _told(file, lambda stream: (lambda i: (i.samplerate, i.channels, i.frames))(soundfile.info(stream)))


def _refuse_cut_off(file: Path) -> None:
    """Refuses a .wav whose samples end before its header says: libsndfile reads what there is and says nothing.

    Raises:
        UserInputError: it is cut off.
    """
    with open_regular(file) as stream:
        size_bytes = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        if stream.read(4) != b"RIFF" or stream.read(8)[4:] != b"WAVE":
            return
        while len(chunk := stream.read(8)) == 8:
            length = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":
                there = size_bytes - stream.tell()
                if length > there and length not in _UNKNOWN_BYTES:
                    what = f"is cut off: its header promises {length:,} bytes of sound, and {there:,} are there"
                    raise UserInputError(what, where=str(file), hint="copy or download it again, or remove it")
                return
            stream.seek(length + length % 2, os.SEEK_CUR)  # chunks are padded to even lengths


def _told(file: Path, read: Any) -> Any:
    import soundfile

    try:
        with open_regular(file) as stream:
            return read(stream)
    except (soundfile.LibsndfileError, RuntimeError, OSError, ValueError) as error:
        what = f"is no sound that can be read ({' '.join(str(error).split())})"
        raise UserInputError(what, where=str(file), hint="it is truncated or damaged; remove or replace it") from None


def _part(tree: Tree, listed: Listed, rate: int, length: int, wanted: Wanted) -> Part:
    hint = "give fewer or shorter sounds"
    require_memory(len(listed.files) * length * 4, f"{len(listed.files):,} sounds", where=str(tree.root), hint=hint)
    x = np.zeros((len(listed.files), length), np.float32)
    keys = []
    for position, file in enumerate(listed.files):
        wave, key = _wave(file, rate)
        wave = wave[:length]
        keys.append(key)
        x[position, : len(wave)] = wave
    if wanted.sample_shape is not None and len(wanted.sample_shape) != 1:
        x = x.reshape(len(x), *(length if size not in (1, length) else size for size in wanted.sample_shape))
    numbers = {name: number for number, name in enumerate(tree.classes)}
    y = None if listed.classes is None else np.array([numbers[name] for name in listed.classes], np.int64)
    return Part(x=x, y=y, places=[tree.place(file) for file in listed.files], keys=keys)


def _wave(file: Path, rate: int) -> tuple[np.ndarray, bytes]:
    """float32 [frames] in -1..1 at a rate, and a hash of what the file holds, at whatever rate."""
    import soundfile

    _refuse_cut_off(file)
    own, _, frames = _header(file)
    if frames > _MAX_FRAMES:
        raise UserInputError(f"has {frames:,} frames, more than a model takes", where=str(file))
    values, _ = _told(file, lambda stream: soundfile.read(stream, dtype="float32", always_2d=True))
    if not len(values):
        raise UserInputError("holds no sound", where=str(file), hint="remove or replace it")
    if not np.isfinite(values).all():
        raise UserInputError("holds values that are no finite numbers", where=str(file), hint="remove or replace it")
    if (loudest := float(np.abs(values).max())) > _MOST_AMPLITUDE:
        what = f"holds values as large as {loudest:,.4g}, expected -1 to 1"
        raise UserInputError(
            what, where=str(file), hint="divide floats of 16-bit samples by 32768 before they are saved"
        )
    wave = values.mean(axis=1, dtype=np.float32)
    key = hashlib.blake2b(f"{own} ".encode() + wave.tobytes(), digest_size=16).digest()
    if own != rate:
        from scipy.signal import resample_poly

        common = math.gcd(own, rate)
        wave = resample_poly(wave, rate // common, own // common).astype(np.float32)
    return wave, key
