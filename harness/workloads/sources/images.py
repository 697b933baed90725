"""A folder of images per class. Needs Pillow, the extra `[images]`."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.errors import MissingPartError, UserInputError
from harness.core.files import open_regular
from harness.core.memory import require_memory
from harness.project.settings import DataSettings, PreprocessingSettings
from harness.workloads.sources.files import Listed, Tree, list_tree
from harness.workloads.sources.parts import Found, Part, Wanted

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_CHANNELS = (1, 3)
_MAX_PIXELS = 100_000_000


class _Frame:
    """The form that the model's input gives images: height, width, channels, and whether the channels come first."""

    def __init__(self, height: int, width: int, channels: int, *, first: bool = False, flat: bool = False) -> None:
        self.height, self.width, self.channels, self.first, self.flat = height, width, channels, first, flat

    @staticmethod
    def of(shape: tuple[int, ...] | None, where: str) -> _Frame | None:
        """None where the model does not say it; -1 for a height or width that is open.

        Raises:
            UserInputError: the model takes no images.
        """
        if shape is None:
            return None
        if len(shape) == 2:
            return _Frame(*shape, 1, flat=True)
        if len(shape) == 3 and shape[2] in _CHANNELS:
            return _Frame(*shape)
        if len(shape) == 3 and shape[0] in _CHANNELS:
            return _Frame(shape[1], shape[2], shape[0], first=True)
        raise UserInputError(
            f"the model takes samples of shape {list(shape)}, which is no grey or colour image",
            where=where,
            hint="give arrays by an .npz, or by a function: --data module:function",
        )


def read_images(root: Path, data: DataSettings, preprocessing: PreprocessingSettings, wanted: Wanted) -> Found:
    """The images of a folder as uint8 arrays of the model's size.

    Raises:
        UserInputError: a file that is no image, or images that cannot be made to fit.
        MissingPartError: Pillow is not installed.
    """
    _pillow(root)
    tree = list_tree(root, SUFFIXES, data.classes)
    frame = _Frame.of(wanted.sample_shape, str(root))
    seen: Counter[str] = Counter()
    first = _open(next(iter(_all(tree))), root)
    frame = frame or _Frame(first.height, first.width, 1 if first.mode in ("1", "L", "LA") else 3)
    frame = _closed(frame, first)
    listed = {name: _part(tree, part, frame, preprocessing, seen) for name, part in tree.parts.items()}
    whole = _part(tree, tree.whole, frame, preprocessing, seen) if tree.whole is not None else None
    count = f"{len(tree.classes)} classes" if tree.classes else "no classes"
    found = Found(what=f"a folder of images, {count}", parts=listed, whole=whole, classes=tree.classes)
    found.evidence["data.classes"] = (
        f"{len(tree.classes)} folders, {tree.order}" if tree.classes else "no folders of classes"
    )
    sizes = ", ".join(f"{number:,} of {size}" for size, number in seen.most_common(3))
    others = f" and {len(seen) - 3} other kinds" if len(seen) > 3 else ""
    form = f"{frame.height}x{frame.width}x{frame.channels}"
    takes = "the model takes" if wanted.input else "they become"
    found.evidence["preprocessing.resize"] = f"images: {sizes}{others}; {takes} {form}"
    if tree.ignored:
        found.evidence["data.path"] = f"{tree.ignored} files that are no images are left alone"
    return found


def _pillow(root: Path) -> None:
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise MissingPartError(
            "reading images needs Pillow", where=str(root), hint="pip install 'tflite-hil-harness[images]'"
        ) from None


def _all(tree: Tree) -> Iterable[Path]:
    for part in (*tree.parts.values(), *([tree.whole] if tree.whole is not None else [])):
        yield from part.files


def _closed(frame: _Frame, first: Image.Image) -> _Frame:
    """An open height or width is that of the first image."""
    height = first.height if frame.height < 1 else frame.height
    width = first.width if frame.width < 1 else frame.width
    return _Frame(height, width, frame.channels, first=frame.first, flat=frame.flat)


def _part(tree: Tree, listed: Listed, frame: _Frame, preprocessing: PreprocessingSettings, seen: Counter[str]) -> Part:
    shape = (frame.height, frame.width, frame.channels)
    hint = "give fewer or smaller images"
    require_memory(
        len(listed.files) * math.prod(shape), f"{len(listed.files):,} images", where=str(tree.root), hint=hint
    )
    x = np.empty((len(listed.files), *shape), np.uint8)
    keys = []
    for position, file in enumerate(listed.files):
        image = _open(file, tree.root)
        seen[f"{image.height}x{image.width} {_mode_words(image)}"] += 1
        keys.append(_key(image))
        x[position] = _pixels(image, frame, preprocessing, tree.place(file), tree.root)
    if frame.first:
        x = x.transpose(0, 3, 1, 2)
    if frame.flat:
        x = x[..., 0]
    numbers = {name: number for number, name in enumerate(tree.classes)}
    y = None if listed.classes is None else np.array([numbers[name] for name in listed.classes], np.int64)
    places = [tree.place(file) for file in listed.files]
    return Part(x=np.ascontiguousarray(x), y=y, places=places, keys=keys)


def _key(image: Any) -> bytes:
    """A hash of the picture, whatever file format, size and colours a model makes of it."""
    pixels = np.asarray(image.convert("RGB"), np.uint8)
    return hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16).digest()


def _mode_words(image: Image.Image) -> str:
    return {"L": "grey", "1": "black and white", "RGB": "colour", "RGBA": "colour with alpha", "P": "palette"}.get(
        image.mode, image.mode
    )


def _open(file: Path, root: Path) -> Any:
    """A decoded image.

    Raises:
        UserInputError: it is no image, damaged, of too many pixels, or of values beyond 8 bits.
    """
    from PIL import Image, UnidentifiedImageError

    where = str(file)
    try:
        with warnings.catch_warnings(), open_regular(file) as stream:
            warnings.simplefilter("ignore")
            image = Image.open(stream)
            if image.width * image.height > _MAX_PIXELS:
                raise UserInputError(f"has {image.width * image.height:,} pixels, more than a model takes", where=where)
            _refuse_several(image, where)
            image.load()
    except UserInputError:
        raise
    except UnidentifiedImageError:
        raise UserInputError("is no image that can be read", where=where, hint="remove or replace it") from None
    # What decoders raise over damaged files is theirs: OSError, SyntaxError, ValueError, struct.error, EOFError and others.
    except Exception as error:
        what = f"is no image that can be read ({str(error) or type(error).__name__})"
        raise UserInputError(what, where=where, hint="it is truncated or damaged; remove or replace it") from None
    if image.mode.startswith(("I", "F")):
        raise UserInputError(
            f"holds values beyond 8 bits (mode {image.mode}), which would be cut",
            where=where,
            hint="save 8-bit images, or give arrays by an .npz",
        )
    return image


def _refuse_several(image: Any, where: str) -> None:
    """Refuses animations and files of several pages, of which only the first would be seen.

    Raises:
        UserInputError: there is more than one picture.
    """
    if image.format == "MPO":  # a camera's JPEG with a preview, or the other eye's view, behind the picture
        return
    if (pictures := getattr(image, "n_frames", 1)) > 1:
        what = f"holds {pictures} pictures (an animation, or pages), expected one"
        raise UserInputError(what, where=where, hint="save each picture that is a sample as a file of its own")


def _pixels(image: Any, frame: _Frame, preprocessing: PreprocessingSettings, place: str, root: Path) -> np.ndarray:
    """uint8 [height, width, channels], RGB."""
    from PIL import Image, ImageOps

    size = (frame.width, frame.height)
    image = image.convert("L" if frame.channels == 1 else "RGB")
    if image.size != size:
        if preprocessing.resize == "never":
            raise UserInputError(
                f"{place} is {image.height}x{image.width}, the model takes {frame.height}x{frame.width}",
                where=str(root),
                hint='resize the images, or write resize = "stretch" or "crop" under [preprocessing]',
            )
        if preprocessing.resize == "crop":
            image = ImageOps.fit(image, size, Image.Resampling.BILINEAR)
        else:
            image = image.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels
