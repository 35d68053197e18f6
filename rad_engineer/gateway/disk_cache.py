"""The warm tier of the cache: one SQLite file that only its owner can read. It may be deleted at any time.

Whatever the disk refuses is a miss, never an error; a damaged file is replaced by an empty one.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from rad_engineer.gateway.stored import Stored

_PAGE = 4096
_SLACK = 0.85  # answers may fill so much of the file; the rest is what SQLite needs around them
_AFTER_CLEARING = 0.9
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
  key TEXT PRIMARY KEY, made REAL NOT NULL, used INTEGER NOT NULL, size INTEGER NOT NULL,
  stream INTEGER NOT NULL, link TEXT NOT NULL, headers TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bodies (key TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TRIGGER IF NOT EXISTS a_body_goes_with_its_answer AFTER DELETE ON answers
BEGIN DELETE FROM bodies WHERE key = old.key; END;
"""
_NOT_USED_FOR_LONGEST = """
DELETE FROM answers WHERE key IN (
  SELECT key FROM (SELECT key, SUM(size) OVER (ORDER BY used DESC, key) AS so_far FROM answers) WHERE so_far > ?
)
"""
_VERSION = 1


class DiskCache:
    """Answers on disk, at most so many bytes of them. To be used by one thread, which need not be the one that made it."""

    def __init__(self, folder: Path, most: int, ttl: float, clock: Callable[[], float]) -> None:
        self._path = folder / "answers.sqlite"
        self._most = most
        self._ttl = ttl
        self._clock = clock
        self._open: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._size = 0
        self._uses = 0
        self._used: dict[str, int] = {}  # not written yet: reading alone writes nothing

    def may_have(self, key: str) -> bool:
        """Whether it is worth asking for an answer: takes no time, and may be asked in any thread."""
        reader = self._reader
        if reader is None:
            return True
        try:
            return reader.execute("SELECT 1 FROM answers WHERE key = ?", (key,)).fetchone() is not None
        except sqlite3.Error:
            return True  # who asks for the answer mends what is wrong

    def get(self, key: str) -> Stored | None:
        """The answer under that key, unless it is too old."""
        try:
            return self._get(self._connection(), key)
        except (sqlite3.Error, OSError, ValueError) as error:
            self._mend(error)
            return None

    def put(self, key: str, stored: Stored) -> None:
        """Keeps an answer, and drops those that were not used for longest."""
        self.put_all({key: stored})

    def put_all(self, answers: Mapping[str, Stored]) -> None:
        """Keeps several answers, all of them or, where the disk refuses one, none."""
        try:
            self._put(self._connection(), answers)
        except (sqlite3.Error, OSError) as error:
            self._mend(error)

    def close(self) -> None:
        """Writes everything into the one file."""
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(sqlite3.Error):
                reader.close()
        if self._open is not None:
            with suppress(sqlite3.Error):
                self._note_uses(self._open)
            with suppress(sqlite3.Error):
                self._open.close()
            self._open = None

    def _get(self, connection: sqlite3.Connection, key: str) -> Stored | None:
        row = connection.execute(
            "SELECT made, stream, link, headers, body FROM answers JOIN bodies USING (key) WHERE key = ?",
            (key,),
        ).fetchone()
        if row is None or row[0] < self._clock() - self._ttl:
            return None
        self._uses += 1
        self._used[key] = self._uses
        made, stream, link, headers, body = row
        return Stored(body, json.loads(headers), bool(stream), link, made)

    def _put(self, connection: sqlite3.Connection, answers: Mapping[str, Stored]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._note_uses(connection)
            size = self._size
            for key, stored in answers.items():
                size = self._add(connection, key, stored, size)
            connection.execute("COMMIT")
        except sqlite3.Error:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        self._size = size

    def _add(self, connection: sqlite3.Connection, key: str, stored: Stored, size: int) -> int:
        self._uses += 1
        old = connection.execute("DELETE FROM answers WHERE key = ? RETURNING size", (key,)).fetchall()
        size += stored.size - sum(row[0] for row in old)
        if size > self._most * _SLACK:
            size = self._clear(connection, stored.size)
        connection.execute(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)",
            (key, stored.made, self._uses, stored.size, stored.stream, stored.link,
             json.dumps(dict(stored.headers))),
        )  # fmt: skip
        connection.execute("INSERT INTO bodies VALUES (?, ?)", (key, stored.body))
        return size

    def _clear(self, connection: sqlite3.Connection, needed: int) -> int:
        """Makes room: the too old first, then what was not used for longest; says what there is with the new one."""
        connection.execute("DELETE FROM answers WHERE made < ?", (self._clock() - self._ttl,))
        room = int(self._most * _SLACK * _AFTER_CLEARING) - needed
        connection.execute(_NOT_USED_FOR_LONGEST, (room,))
        return self._sum(connection) + needed

    def _note_uses(self, connection: sqlite3.Connection) -> None:
        uses, self._used = self._used, {}
        connection.executemany(
            "UPDATE answers SET used = ? WHERE key = ?", [(n, key) for key, n in uses.items()]
        )

    def _connection(self) -> sqlite3.Connection:
        if self._open is not None:
            return self._open
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        with _alone(folder):
            self._path.touch(mode=0o600)
            connection = self._open = self._connected(timeout=5.0)
            self._prepare(connection)
            self._reader = self._connected(timeout=0.0)
        self._size = self._sum(connection)
        self._uses = connection.execute("SELECT COALESCE(MAX(used), 0) FROM answers").fetchone()[0]
        return connection

    def _connected(self, timeout: float) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=timeout)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA journal_size_limit = 4000000")
        connection.execute(f"PRAGMA max_page_count = {max(self._most // _PAGE, 16)}")
        if connection.execute("PRAGMA user_version").fetchone()[0] not in (0, _VERSION):
            raise sqlite3.DatabaseError("written by another version")
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {_VERSION}")

    def _sum(self, connection: sqlite3.Connection) -> int:
        found: int = connection.execute("SELECT COALESCE(SUM(size), 0) FROM answers").fetchone()[0]
        return found

    def _mend(self, error: Exception) -> None:
        """Closes what went wrong; a file that is not a cache of ours, or damaged, goes."""
        self.close()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            with suppress(OSError):
                for suffix in ("", "-wal", "-shm"):
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One at a time: of two that change a new file's journal at once, SQLite refuses one without waiting."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
