"""A database by its URL: connections, transactions, and batches of rows as statements read them.

SQLite: WAL and synchronous=FULL, so that a commit is on the disk before it is acknowledged; one writer at a
time. PostgreSQL: a pool, autocommit off, the server's own durability.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import exp, floor, log
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from driftline_operator.hub.refusal import Refusal

WAIT_SECONDS: Final = 30
"""How long a statement waits for another's lock."""
_RETRIES: Final = 5
_AGAIN: Final = {"40001", "40P01"}
"""PostgreSQL: serialization failure, deadlock."""
READ_SECONDS: Final = 30
"""How long a statement may read for one request; PostgreSQL ends it then."""
_CANCELLED: Final = "57014"
_FAILING: Final = ("53", "58")
"""PostgreSQL: resources, the system; 25006 is read-only."""
_STUCK: Final = ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC")
_OPTIONS: Final = {"preserve_rowcount": True}
"""An INSERT too says how many rows it changed."""

Row = Mapping[str, Any]


class Database:
    """An engine, and which of the two it is."""

    def __init__(self, url: str, connections: int = 10) -> None:
        """Raises ValueError for a URL that is neither's."""
        self.engine = _engine(url, connections)

    @property
    def postgres(self) -> bool:
        """Else SQLite."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def reading(self, seconds: float = READ_SECONDS) -> Iterator[Connection]:
        """One consistent view; what is written in it isn't kept. Raises sqlalchemy.exc.SQLAlchemyError.

        `seconds`: after which PostgreSQL ends a statement.
        """
        with self.engine.connect() as connection:
            connection.info["write"] = False
            if self.postgres:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
                connection.execute(sa.text(f"SET LOCAL statement_timeout = {round(seconds * 1000)}"))
            yield connection
            connection.rollback()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed at the end. Raises sqlalchemy.exc.SQLAlchemyError."""
        with self.engine.connect() as connection:
            connection.info["write"] = True
            with connection.begin():
                yield connection

    def close(self) -> None:
        """End all connections."""
        self.engine.dispose()


def retrying(attempt: int, error: sa.exc.DBAPIError) -> bool:
    """Whether a transaction that failed so should be tried again: another one was in its way."""
    return attempt < _RETRIES and getattr(error.orig, "sqlstate", None) in _AGAIN


def lock(connection: Connection, kind: int, number: int) -> None:
    """Until the transaction ends nobody else has the same: others wait. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(kind, number)))


def incoming(connection: Connection, columns: Sequence[sa.Column[Any]]) -> sa.FromClause:
    """Rows of a batch as a relation `batch`, to insert from. Run it by `execute_batch`.

    PostgreSQL reads the whole batch from one JSON parameter (measured: faster than arrays or COPY into a
    temporary table). On SQLite it is one row of parameters, run once per row.
    """
    if connection.dialect.name == "postgresql":
        named = [sa.column(each.name, each.type) for each in columns]
        rows = sa.func.json_to_recordset(sa.cast(sa.bindparam("batch", type_=sa.Text), sa.types.JSON))
        return rows.table_valued(*named).render_derived(name="batch", with_types=True)
    parameters = [sa.bindparam(f"p_{each.name}", type_=each.type).label(each.name) for each in columns]
    return sa.select(*parameters).subquery("batch")


def execute_batch(connection: Connection, statement: sa.Executable, rows: Sequence[Row]) -> int:
    """Run a statement over `incoming` rows; how many it changed."""
    if not rows:
        return 0
    if connection.dialect.name == "postgresql":
        text = msgspec.json.encode(rows).decode()
        return connection.execute(statement, {"batch": text}).rowcount
    named = [{f"p_{name}": value for name, value in row.items()} for row in rows]
    return connection.execute(statement, named).rowcount


def insert(connection: Connection, table: sa.Table) -> Any:
    """The dialect's own INSERT, which has ON CONFLICT."""
    from sqlalchemy.dialects import postgresql, sqlite

    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def _or_null(function: Callable[[float], float]) -> Callable[[float | None], float | None]:
    return lambda number: None if number is None else function(number)


def _engine(url: str, connections: int) -> Engine:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ValueError(f"--database must be a URL such as sqlite:////data/hub.db: {error}") from error
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return _postgres(parsed.set(drivername="postgresql+psycopg"), connections)
    if parsed.drivername == "sqlite" and parsed.database:
        return _sqlite(parsed, connections)
    raise ValueError(f"--database must be sqlite:///FILE or postgresql://…, not {parsed.drivername}://")


def _postgres(url: sa.URL, connections: int) -> Engine:
    engine = sa.create_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=WAIT_SECONDS,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 5, "application_name": "driftline-hub"},
        execution_options=_OPTIONS,
    )

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.execute(f"SET lock_timeout = '{WAIT_SECONDS}s'")
        connection.commit()

    return engine


def _sqlite(url: sa.URL, connections: int) -> Engine:
    engine = sa.create_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=WAIT_SECONDS,
        connect_args={"timeout": WAIT_SECONDS, "check_same_thread": False},
        execution_options=_OPTIONS,
    )

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # BEGIN is ours: the driver's own comes too late
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-65536")
        for name, function in (("ln", log), ("exp", exp), ("floor", floor)):
            connection.create_function(name, 1, _or_null(function), deterministic=True)

    @sa.event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        # A transaction that reads first and writes later would fail where another wrote in between.
        writes = connection.info.get("write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def register_functions(connection: Connection, score_edges: list[float], lag_edges: list[float]) -> None:
    """SQLite: `score_bin` and `lag_bin`, how many edges are below a number; NULL for NULL."""
    if connection.dialect.name == "postgresql":
        return
    driver: Any = connection.connection.driver_connection
    for name, edges in (("score_bin", score_edges), ("lag_bin", lag_edges)):
        driver.create_function(name, 1, partial(_edges_below, edges), deterministic=True)


def _edges_below(edges: list[float], number: float | None) -> int | None:
    return None if number is None else bisect_left(edges, number)


def unwritable(error: sa.exc.SQLAlchemyError) -> bool:
    """Whether the database can be asked but takes nothing: full, read-only, a disk that fails."""
    original = getattr(error, "orig", None)
    state = getattr(original, "sqlstate", None) or ""
    return state[:2] in _FAILING or state == "25006" or getattr(original, "sqlite_errorname", "") in _STUCK


def away(error: sa.exc.SQLAlchemyError) -> Refusal | None:
    """What to answer when the database can't be asked now; None: the error is of another kind."""
    if getattr(getattr(error, "orig", None), "sqlstate", None) == _CANCELLED:
        return Refusal(503, f"reading took more than {READ_SECONDS} s: ask for less time", retry=30.0)
    if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError) or getattr(
        error, "connection_invalidated", False
    ):
        return Refusal(503, "the database can't be reached or is busy: nothing was taken", retry=2.0)
    return None
