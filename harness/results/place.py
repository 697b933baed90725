"""Where the records of a results folder are: in SQLite there, or in a PostgreSQL database that several hosts share.

A process has one place: `--store URL` and `--objects DIR` are put into its environment as `HARNESS_STORE` and `HARNESS_OBJECTS`,
where processes that it starts find them too. A password comes by the variable or by `PGPASSFILE`, never by the command line, and
nothing here shows one.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from harness.core.errors import UserInputError
from harness.core.paths import STORE_VARIABLE, results_dir
from harness.results.layout import store_path

OBJECTS_VARIABLE = "HARNESS_OBJECTS"
_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_HINT = "write postgresql://USER@HOST:PORT/DATABASE"
#: settings of libpq that are secrets
_SECRETS = ("password", "sslpassword")
_PASSWORD = re.compile(r"(?i)(?<=://)([^\s/@:?#]*):[^\s@]*@|((?:ssl)?password=)[^\s&]*")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where records and objects of a results folder are.

    Attributes:
        results: the results folder: tables and locks, and all else unless the others say otherwise.
        url: of a PostgreSQL database; None: SQLite in the folder. It may hold a password: show `name`.
        objects: a folder for objects; None: beside SQLite, or in the database.
    """

    results: Path
    url: str | None = field(default=None, repr=False)
    objects: Path | None = None

    @property
    def shared(self) -> bool:
        """Whether the records are in a database beside the folder."""
        return self.url is not None

    @property
    def name(self) -> str:
        """The store as errors and logs name it, without a password."""
        return str(store_path(self.results)) if self.url is None else redacted(self.url)


def place_of(results: Path) -> Place:
    """The place of a results folder, as this process's environment says.

    Raises:
        UserInputError: `HARNESS_STORE` is no URL of a PostgreSQL database.
    """
    url = os.environ.get(STORE_VARIABLE) or None
    objects = os.environ.get(OBJECTS_VARIABLE) or None
    return Place(
        results=Path(results).absolute(),
        url=None if url is None else checked_url(url, where=STORE_VARIABLE),
        objects=None if objects is None else Path(objects).expanduser().absolute(),
    )


def choose_store(url: str) -> None:
    """Takes `--store URL` for this process and those that it starts.

    Raises:
        UserInputError: no URL of a PostgreSQL database, or one with a password, which every user of this machine could read.
    """
    checked = checked_url(url, where="--store")
    if has_password(checked):
        raise UserInputError(
            "a password on the command line can be read by every user of this machine, and stays in the shell's history",
            where="--store",
            hint=f"name a file with it in PGPASSFILE, or give the whole URL in {STORE_VARIABLE}",
        )
    os.environ[STORE_VARIABLE] = checked


def choose_objects(folder: str) -> None:
    """Takes `--objects DIR` for this process and those that it starts."""
    os.environ[OBJECTS_VARIABLE] = str(Path(folder).expanduser().absolute())


def command_options(results: Path) -> str:
    """The options with which another command finds the same records; a URL with a password stays in its variable."""
    text = f"--results {shlex.quote(str(results))}"
    url, objects = os.environ.get(STORE_VARIABLE), os.environ.get(OBJECTS_VARIABLE)
    if url and not has_password(url):
        text += f" --store {shlex.quote(url)}"
    return text + (f" --objects {shlex.quote(objects)}" if objects else "")


def needed_options(results: Path) -> str:
    """The same behind a blank, without a folder that another command takes by itself; empty where nothing has to be said."""
    text = command_options(results)
    if Path(results).absolute() == results_dir(None).absolute():
        text = text.partition(f"--results {shlex.quote(str(results))}")[2].strip()
    return f" {text}" if text else ""


def checked_url(url: str, *, where: str) -> str:
    """The URL with the one scheme that is used inside.

    Raises:
        UserInputError: it names no PostgreSQL database. The error shows no password.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in _SCHEMES and parts.path.strip("/") and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known:
        raise UserInputError(f"'{redacted(url)}' names no PostgreSQL database", where=where, hint=_HINT)
    return parts._replace(scheme="postgresql").geturl()


def has_password(url: str) -> bool:
    """Whether a URL carries a secret."""
    parts = urlsplit(url)
    return parts.password is not None or any(name in _SECRETS for name, _ in parse_qsl(parts.query))


def redacted(text: str) -> str:
    """A text, such as a URL or a word of a command, with `***` in place of each URL's password."""
    return _PASSWORD.sub(lambda found: f"{found[2]}***" if found[2] else f"{found[1]}:***@", text)


def driver_url(url: str) -> str:
    """A checked URL as SQLAlchemy takes it for psycopg."""
    parts = urlsplit(url)
    # Decoded and encoded again: what a person typed need not be encoded as SQLAlchemy expects it.
    user = "" if parts.username is None else quote(unquote(parts.username), safe="")
    secret = "" if parts.password is None else ":" + quote(unquote(parts.password), safe="")
    host = parts.netloc.rpartition("@")[2]
    login = f"{user}{secret}@" if user or secret else ""
    query = urlencode(parse_qsl(parts.query))
    return f"postgresql+psycopg://{login}{host}{parts.path}{'?' + query if query else ''}"
