"""Sample files (.npy) as a model's inputs, mapped and checked against the model."""


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
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        raise ValueError("the samples of input %d are no usable .npy file: %s" % (number, error))
    shape = tuple(int(n) for n in want["shape"])
    row = shape[1:] if shape[:1] == (1,) else shape
    if mapped.ndim == 0 or mapped.dtype != want["dtype"] or mapped.shape[1:] != row:
        wanted = (number, want["name"], np.dtype(want["dtype"]).name, ["N"] + list(row))
        found = (mapped.dtype.name, list(mapped.shape))
        raise ValueError("input %d (%s) wants samples of %s %s, the file holds %s %s" % (wanted + found))
    if len(mapped) == 0 or not mapped.flags.c_contiguous:
        raise ValueError("the samples of input %d are empty or not in C order" % number)
    # A plain array over the map: indexing a memmap is several times slower.
    rows = np.asarray(mapped).reshape((len(mapped),) + shape)
    return Feed(want["index"], rows, getattr(mapped, "_mmap", None))
