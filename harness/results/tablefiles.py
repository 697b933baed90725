"""The files of an export, one for each table of the store: written run by run, and read once from beginning to end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from harness.core.errors import UserInputError
from harness.results.faults import storage_faults
from harness.results.transfer import Row, columns_of, table_of

Format = Literal["parquet", "csv"]
FORMATS: tuple[Format, ...] = ("parquet", "csv")
#: a row with its record has to fit
_BLOCK_BYTES = 64 << 20


def _schema(name: str) -> Any:
    """A table's columns as Arrow has them."""
    import pyarrow as pa
    from sqlalchemy import Float, Integer

    def kind(column: Any) -> Any:
        if isinstance(column.type, Integer):
            return pa.int64()
        return pa.float64() if isinstance(column.type, Float) else pa.string()

    table = table_of(name)
    return pa.schema([(column, kind(table.c[column])) for column in columns_of(name)])


class Sink:
    """A file of a table, written run by run."""

    def __init__(self, writer: Any, schema: Any) -> None:
        self._writer, self._schema = writer, schema

    def write(self, found: Iterable[Row]) -> None:
        """Adds rows."""
        import pyarrow as pa

        rows = list(found)
        if rows:
            self._writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))


@contextlib.contextmanager
def table_sink(folder: Path, name: str, form: Format) -> Iterator[Sink]:
    """A new file for a table's rows."""
    schema = _schema(name)
    path = folder / f"{name}.{form}"
    if form == "parquet":
        import pyarrow.parquet as pq

        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            yield Sink(writer, schema)
        return
    import pyarrow.csv as pc

    # Texts always in quotes, so that an empty text is not nothing.
    with pc.CSVWriter(path, schema, write_options=pc.WriteOptions(quoting_style="needed")) as writer:
        yield Sink(writer, schema)


class Source:
    """The rows of a file, read once from its beginning to its end."""

    def __init__(self, batches: Iterable[Any], columns: list[str]) -> None:
        self._rows = self._read(batches, columns)
        self._next: Row | None = None

    @staticmethod
    def _read(batches: Iterable[Any], columns: list[str]) -> Iterator[Row]:
        for batch in batches:
            for row in batch.to_pylist():
                yield {name: row.get(name) for name in columns}

    def all(self) -> Iterator[Row]:
        """Every row that is left."""
        yield from self._rows

    def of(self, run: str) -> list[Row]:
        """The next rows, as long as they are of this run."""
        found: list[Row] = []
        while (row := self._next or next(self._rows, None)) is not None:
            self._next = row
            if row["run"] != run:
                break
            found.append(row)
            self._next = None
        return found

    def require_end(self, path: Path) -> None:
        """Raises UserInputError: rows are left, of runs in another order than in `run`, or of none of them."""
        left = self._next or next(self._rows, None)
        if left is not None:
            raise UserInputError(
                f"the rows of run {left['run']} do not stand in the order of the file of runs",
                where=str(path),
                hint="export again; files whose rows were sorted otherwise cannot be taken",
            )


@contextlib.contextmanager
def table_source(folder: Path, name: str, form: Format) -> Iterator[Source]:
    """The rows of a table's file; columns that an older harness did not have are empty.

    Raises:
        UserInputError: there is no such file, or it is damaged.
    """
    import pyarrow as pa

    path = folder / f"{name}.{form}"
    if not path.is_file():
        raise UserInputError("this file of the export is missing", where=str(path), hint="export again")
    try:
        with storage_faults(path), _batches(path, name, form) as batches:
            yield Source(batches, columns_of(name))
    except pa.ArrowException as error:
        first = str(error).splitlines()[0]
        raise UserInputError(f"cannot be read: {first}", where=str(path), hint="export again") from error


@contextlib.contextmanager
def _batches(path: Path, name: str, form: Format) -> Iterator[Iterable[Any]]:
    if form == "parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            known = [column for column in columns_of(name) if column in file.schema_arrow.names]
            yield file.iter_batches(batch_size=1000, columns=known)
        return
    import pyarrow.csv as pc

    schema = _schema(name)
    with pc.open_csv(
        path,
        read_options=pc.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
        parse_options=pc.ParseOptions(newlines_in_values=True),
        convert_options=pc.ConvertOptions(
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            include_columns=schema.names,
            include_missing_columns=True,
        ),
    ) as reader:
        yield reader
