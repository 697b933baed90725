"""Where the tests find the project's files."""

from pathlib import Path

#: this folder: programs and data that tests run or read
SUPPORT = Path(__file__).resolve().parent
#: the checkout
ROOT = SUPPORT.parent.parent
