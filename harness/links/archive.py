"""The agent as it travels: one archive that Python runs as it is, the same bytes for the same sources.

A zipapp made in memory, where and when it is needed: what is installed is the sources, and their hash is the agent's. Nothing
in it depends on when, where or by whom it is made: names are sorted, dates and permissions are constants, and nothing is
compressed, because deflate's output differs between versions of zlib.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

#: the earliest date that a zip file can hold
_DATE = (1980, 1, 1, 0, 0, 0)
_UNIX, _MODE = 3, 0o100644
#: `python ARCHIVE ROLE ...` is how the agent starts further processes of its own
_MAIN = "from {package}.main import main\n\nmain()\n"


def archive_bytes(package: Path) -> bytes:
    """The Python package in a folder as a zipapp: its modules, and a `__main__.py` that calls its `main.main()`.

    Args:
        package: the package's folder, without sub-packages. Only its `*.py` files travel.
    """
    texts = {f"{package.name}/{path.name}": path.read_bytes() for path in package.glob("*.py")}
    texts["__main__.py"] = _MAIN.format(package=package.name).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(texts):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system, entry.external_attr = _UNIX, _MODE << 16
            archive.writestr(entry, texts[name])
    return buffer.getvalue()
