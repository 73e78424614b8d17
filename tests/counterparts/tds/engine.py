"""Runs T-SQL on SQLite: statements, types of results, transactions."""
import re
import sqlite3

from . import catalogue, functions, tsql
from .tsql import Refused
from .types import Type

RESULTS = {
    "COUNT": "INT", "COUNT_BIG": "BIGINT", "SYSDATETIME": "DATETIME2(7)", "SYSUTCDATETIME": "DATETIME2(7)", "GETDATE": "DATETIME",
    "GETUTCDATE": "DATETIME", "SYSDATETIMEOFFSET": "DATETIMEOFFSET(7)", "MIN_ACTIVE_ROWVERSION": "BINARY(8)", "LEN": "INT", "DB_ID": "SMALLINT",
    "HAS_PERMS_BY_NAME": "INT",
}


def connect(path):
    db = sqlite3.connect(path, timeout=20, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    return db


class Result:
    """Names, types and rows; or the count of changed rows."""

    def __init__(self, names=(), types=(), rows=None, changed=None, is_of_tables=False):
        self.names, self.types, self.rows, self.changed, self.is_of_tables = names, types, rows, changed, is_of_tables


class Engine:
    """One session's statements."""

    def __init__(self, session):
        self.session, self.isolation, self.settings = session, "READ COMMITTED", {}
        self.db = connect(session.server.path)
        session.refused = None
        functions.install(self.db, session)

    def run(self, part, values):
        """Runs one statement; `values` by the parameters' names."""
        words = [token.text.upper() for token in part if token.kind != "blank"]
        if words[0] == "SET":
            return self._set(words)
        if words[0] in ("BEGIN", "COMMIT", "ROLLBACK", "SAVE"):
            return self._transaction(words)
        if words[0] in ("USE", "DECLARE", "PRINT", "WAITFOR"):
            return Result()
        try:
            return self._query(part, values)
        except sqlite3.Error as error:
            refused, self.session.refused = self.session.refused, None
            raise refused or told(str(error)) from None

    def _set(self, words):
        if words[1:4] == ["TRANSACTION", "ISOLATION", "LEVEL"]:
            self.isolation = " ".join(words[4:])
            if self.isolation not in ("SNAPSHOT", "READ COMMITTED", "READ UNCOMMITTED", "REPEATABLE READ", "SERIALIZABLE"):
                raise Refused(102, 15, f"Incorrect syntax near '{words[4]}'.")
        elif words[1] == "IMPLICIT_TRANSACTIONS":
            self.session.is_implicit = words[2] == "ON"
        else:
            self.settings[words[1]] = words[-1]
        return Result()

    def _transaction(self, words):
        if words[0] == "BEGIN":
            self.begin()
        else:
            self.end(words[0])
        return Result()

    def begin(self):
        if not self.session.transaction:
            self.session.begin_transaction(self.isolation)

    def end(self, word):
        if self.db.in_transaction:
            self.db.execute(word if word == "ROLLBACK" else "COMMIT")
        self.session.transaction = 0

    def _query(self, part, values):
        if self.session.is_implicit:
            self.begin()
        statement = tsql.Rewritten(part, catalogue.tables(self.db))
        if statement.found_tables and self.isolation == "SNAPSHOT" and not self.session.server.faults().get("snapshot", True):
            name = self.session.database
            raise Refused(3952, 16, f"Snapshot isolation transaction failed accessing database '{name}' because snapshot isolation is not "
                                    "allowed in this database. Use ALTER DATABASE to allow snapshot isolation.")
        if statement.found_tables and self.isolation == "SNAPSHOT" and self.session.transaction and self.session.begun_as != "SNAPSHOT":
            raise Refused(3951, 16, f"Transaction failed in database '{self.session.database}' because the statement was run under snapshot "
                                    "isolation but the transaction did not start in snapshot isolation.")
        if statement.is_catalogue:
            catalogue.make(self.db, self.session, statement.sql)
        elif self.session.transaction and self.isolation == "SNAPSHOT" and not self.db.in_transaction:
            self.db.execute("BEGIN")
        named = {name.lstrip("@"): value for name, value in values.items()}
        cursor = self.db.execute(statement.sql, named)
        if not cursor.description:
            return Result(changed=max(cursor.rowcount, 0))
        first = cursor.fetchone()
        names = [column[0] or "" for column in cursor.description]
        types = self._types(statement, names, first)
        return Result(names, types, chained(first, cursor), is_of_tables=bool(statement.found_tables))

    def _types(self, statement, names, first):
        """Declared types of columns, those of casts, those of functions; else by the first value."""
        declared = [None] * len(names)
        view = re.sub(r"(?<!\w)@\w+", "NULL", statement.sql)
        try:
            self.db.execute("DROP VIEW IF EXISTS temp.described")
            self.db.execute(f"CREATE TEMP VIEW described AS {view}")
            declared = [row[2] for row in self.db.execute("PRAGMA temp.table_info(described)")] or declared
        except sqlite3.Error:
            # Two columns of one name, or none.
            pass
        types = []
        for place, name in enumerate(names):
            known = declared[place] if place < len(declared) else None
            known = known or statement.types.get(name.lower()) or result_of(name)
            known = known or inferred(first[place] if first else None)
            types.append(Type(known))
        return types


def result_of(name):
    found = re.match(r"(\w+)\(", name)
    return RESULTS.get(found.group(1).upper()) if found else None


def inferred(value):
    return {int: "BIGINT", float: "FLOAT", bytes: "VARBINARY(8000)"}.get(type(value), "NVARCHAR(4000)")


def chained(first, rest):
    if first is not None:
        yield first
        yield from rest


def told(text):
    """An error of SQLite's in the words and numbers of SQL Server."""
    for pattern, number, words in (
        (r"no such column: \"?([^\"]*)", 207, "Invalid column name '{}'."),
        (r"no such table: (\S+)", 208, "Invalid object name '{}'."),
        (r"no such function: (\S+)", 195, "'{}' is not a recognized built-in function name."),
        (r'near "([^"]*)"', 102, "Incorrect syntax near '{}'."),
    ):
        found = re.search(pattern, text)
        if found:
            return Refused(number, 16 if number < 209 and number > 200 else 15, words.format(found.group(1).split(".")[-1]))
    return Refused(50000, 16, text)
