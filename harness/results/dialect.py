"""What SQLite and PostgreSQL say differently: fields of JSON texts, globs, inserts that find a row already there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy import Connection


class JsonField(FunctionElement[Any]):
    """A field of a JSON text in a column: `JsonField(column, "numbers.scale")`. `number_of` and `text_of` read what comes."""

    inherit_cache = True
    name = "json_field"
    type = String()

    def __init__(self, column: Any, path: str) -> None:
        from sqlalchemy import literal_column

        if not path.replace(".", "").replace("_", "").isalnum():
            raise ValueError(f"'{path}' is no path of names")
        # As a literal, because it belongs to the statement and not to its values.
        super().__init__(column, literal_column(f"'{path}'"))


@compiles(JsonField, "sqlite")
def _sqlite(element: JsonField, compiler: Any, **options: Any) -> str:
    column, path = list(element.clauses)
    return f"json_extract({compiler.process(column, **options)}, '$.{path.name.strip(chr(39))}')"


@compiles(JsonField, "postgresql")
def _postgresql(element: JsonField, compiler: Any, **options: Any) -> str:
    column, path = list(element.clauses)
    names = path.name.strip("'").replace(".", ",")
    return f"(({compiler.process(column, **options)})::json #>> '{{{names}}}')"


def number_of(value: Any) -> Any:
    """A number or truth value that a `JsonField` gave: PostgreSQL gives texts, SQLite 1 and 0 for true and false."""
    if not isinstance(value, str):
        return value
    if value in ("true", "false"):
        return int(value == "true")
    number = float(value)
    return int(number) if number.is_integer() and "." not in value and "e" not in value.lower() else number


def new_row(connection: Connection, table: Any) -> Any:
    """An INSERT of the connection's dialect, which has `on_conflict_do_nothing` and `on_conflict_do_update`."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgresql

        return insert_postgresql(table)
    from sqlalchemy.dialects.sqlite import insert as insert_sqlite

    return insert_sqlite(table)


class Glob(FunctionElement[Any]):
    """Whether a column's text matches a glob of `*` and `?`, case-sensitive; brackets are literal."""

    inherit_cache = True
    name = "glob"

    def __init__(self, column: Any, pattern: str) -> None:
        from sqlalchemy import Boolean, literal

        self.type = Boolean()
        # Both forms stand in the statement's values; each dialect takes its own.
        super().__init__(column, literal(pattern.replace("[", "[[]")), literal(_like(pattern)))


@compiles(Glob, "sqlite")
def _glob_sqlite(element: Glob, compiler: Any, **options: Any) -> str:
    column, pattern, _ = list(element.clauses)
    return f"({compiler.process(column, **options)} GLOB {compiler.process(pattern, **options)})"


@compiles(Glob, "postgresql")
def _glob_postgresql(element: Glob, compiler: Any, **options: Any) -> str:
    column, _, pattern = list(element.clauses)
    return f"({compiler.process(column, **options)} LIKE {compiler.process(pattern, **options)})"


def _like(pattern: str) -> str:
    text = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return text.replace("*", "%").replace("?", "_")
