"""Sample files (.npy) as a model's inputs, mapped and checked against the model.

The header is read here, not by numpy: its reader compiles and evaluates a Python literal, which takes a slow board as long as
the whole start of a forked worker; and what it has to understand is what the harness writes, plain numbers in C order.
"""

import mmap
import re
import struct

#: `numpy.lib.format`: the magic, a version, and a header of which so many bytes tell the length
MAGIC = b"\x93NUMPY"
LENGTHS = {b"\x01\x00": struct.Struct("<H"), b"\x02\x00": struct.Struct("<I"), b"\x03\x00": struct.Struct("<I")}
HEADER = re.compile(
    rb"\{'descr': '([<>|][a-z]\d+)', 'fortran_order': (True|False), 'shape': \(((?:\d+,?)(?: \d+,?)*|)\), \} *\n"
)


class Feed:
    """The samples of one input: `rows[i]` is what its tensor is set to for sample i."""

    def __init__(self, index, rows, mapped):
        self.index = index
        self.rows = rows
        self.mapped = mapped


def open_feeds(np, details, paths):
    """[Feed] of the files, one per input in the model's order.

    Args:
        np: the module numpy, which only workers import.
        details: the interpreter's `get_input_details()`.

    Raises:
        ValueError: a file is no .npy file, or is not for this model.
    """
    if len(paths) != len(details):
        raise ValueError("the model has %d inputs, %d sample files were given" % (len(details), len(paths)))
    feeds = [open_feed(np, number, want, path) for number, (want, path) in enumerate(zip(details, paths))]
    counts = sorted({len(feed.rows) for feed in feeds})
    if len(counts) > 1:
        raise ValueError("the sample files hold different numbers of samples: %s" % counts)
    return feeds


def open_feed(np, number, want, path):
    try:
        mapped, dtype, counts, offset = map_array(np, path)
    except (OSError, ValueError) as error:
        raise ValueError("the samples of input %d are no usable .npy file: %s" % (number, error))
    shape = tuple(int(n) for n in want["shape"])
    row = shape[1:] if shape[:1] == (1,) else shape
    if not counts or dtype != want["dtype"] or counts[1:] != row:
        wanted = (number, want["name"], np.dtype(want["dtype"]).name, ["N"] + list(row))
        raise ValueError(
            "input %d (%s) wants samples of %s %s, the file holds %s %s" % (wanted + (dtype.name, list(counts)))
        )
    if counts[0] == 0:
        raise ValueError("the samples of input %d are empty" % number)
    size = dtype.itemsize
    for count in counts:
        size *= count
    if len(mapped) - offset < size:
        raise ValueError("the samples of input %d end early: %d bytes of %d" % (number, len(mapped) - offset, size))
    rows = np.frombuffer(mapped, dtype, size // dtype.itemsize, offset).reshape((counts[0],) + shape)
    return Feed(want["index"], rows, mapped)


def map_array(np, path):
    """(the mapped file, its array's dtype, shape, and offset in it).

    Raises:
        ValueError: it is no .npy file of plain numbers in C order.
    """
    with open(path, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError("it does not begin with the magic of numpy's files")
        version = file.read(2)
        length = LENGTHS.get(version)
        if length is None:
            raise ValueError("version %r" % version)
        text = file.read(length.size)
        header = HEADER.fullmatch(file.read(length.unpack(text)[0])) if len(text) == length.size else None
        if header is None or header.group(2) == b"True":
            raise ValueError("its header tells of no plain numbers in C order")
        dtype = np.dtype(header.group(1).decode())
        shape = tuple(int(n) for n in re.findall(rb"\d+", header.group(3)))
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype, shape, file.tell()
