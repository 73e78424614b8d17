"""The views of the catalogue and of the server's state, made of SQLite's own before a statement reads them."""
import datetime as dt
import re

from .tsql import Refused
from .types import Type

# system_type_id of sys.types (SQL Server 2022).
TYPES = {
    "image": 34, "text": 35, "uniqueidentifier": 36, "date": 40, "time": 41, "datetime2": 42, "datetimeoffset": 43, "tinyint": 48,
    "smallint": 52, "int": 56, "smalldatetime": 58, "real": 59, "money": 60, "datetime": 61, "float": 62, "sql_variant": 98,
    "ntext": 99, "bit": 104, "decimal": 106, "numeric": 108, "smallmoney": 122, "bigint": 127, "varbinary": 165, "varchar": 167,
    "binary": 173, "char": 175, "timestamp": 189, "nvarchar": 231, "nchar": 239, "xml": 241,
}
PRECISIONS = {"bigint": 19, "int": 10, "smallint": 5, "tinyint": 3, "bit": 1, "float": 53, "real": 24, "money": 19, "smallmoney": 10,
              "datetime": 23, "smalldatetime": 16, "date": 10}
STATE = ("sys.dm_tran_active_transactions", "sys.dm_tran_database_transactions", "sys.dm_tran_session_transactions", "sys.dm_exec_requests",
         "sys.dm_exec_sessions")


def tables(db):
    """Returns the names of tables and views, by themselves in small letters."""
    rows = db.execute("SELECT name FROM main.sqlite_master WHERE type IN ('table', 'view') AND name LIKE '%.%'")
    return {row[0].lower(): row[0] for row in rows}


def kind_of(declared):
    """A column's declared type as the catalogue has it: name, id, max_length, precision, scale."""
    kind = Type(declared)
    name = {"rowversion": "timestamp", "integer": "int"}.get(kind.name.lower(), kind.name.lower())
    number = TYPES.get(name, 231)
    if kind.is_max or name in ("image", "text", "ntext"):
        length = 16 if name in ("image", "text", "ntext") else -1
        return name, number, length, 0, 0
    if name in ("decimal", "numeric"):
        return name, number, 17, int(kind.size or 18), kind.scale
    if name in ("time", "datetime2", "datetimeoffset"):
        base = {"time": 8, "datetime2": 19, "datetimeoffset": 26}[name]
        return name, number, 8, base + (kind.digits and kind.digits + 1), kind.digits
    if name in PRECISIONS:
        return name, number, 8, PRECISIONS[name], {"money": 4, "smallmoney": 4, "datetime": 3}.get(name, 0)
    if name in ("timestamp", "uniqueidentifier", "sql_variant"):
        return name, number, {"timestamp": 8, "uniqueidentifier": 16, "sql_variant": 8016}[name], 0, 0
    return name, number, int(kind.size or 1) * (2 if name.startswith("n") else 1), 0, 0


def make(db, session, sql):
    """Makes the views that a statement asks, as temporary tables."""
    asked = set(re.findall(r'"((?:sys|information_schema)\.\w+)"', sql.lower()))
    faults = session.server.faults()
    if asked & set(STATE) and "VIEW SERVER STATE" in faults.get("deny", []):
        raise Refused(300, 14, "VIEW SERVER STATE permission was denied on object 'server', database 'master'.")
    rows = views(db, session, faults)
    for name in asked:
        if name not in rows:
            raise Refused(208, 16, f"Invalid object name '{name}'.")
        columns, values = rows[name]
        db.execute(f'DROP TABLE IF EXISTS temp."{name}"')
        db.execute(f'CREATE TEMP TABLE "{name}" ({columns})')
        marks = ", ".join("?" for _ in columns.split(","))
        db.executemany(f'INSERT INTO temp."{name}" VALUES ({marks})', values)


def views(db, session, faults):
    names = sorted(tables(db).values())
    schemas = {schema: number for number, schema in enumerate(["dbo"] + sorted({name.split(".", 1)[0] for name in names} - {"dbo"}), 1)}
    objects, columns, indexes, index_columns, plain, plain_columns = [], [], [], [], [], []
    is_view = {row[0] for row in db.execute("SELECT name FROM main.sqlite_master WHERE type = 'view'")}
    for number, full in enumerate(names, 1000):
        schema, name = full.split(".", 1)
        kind = ("V", "VIEW") if full in is_view else ("U", "USER_TABLE")
        objects.append((number, name, schemas[schema], *kind, 0))
        plain.append((session.database, schema, name, "VIEW" if full in is_view else "BASE TABLE"))
        key = []
        for place, column, declared, is_needed, _, in_key in db.execute(f'PRAGMA main.table_info("{full}")'):
            type_name, type_id, length, precision, scale = kind_of(declared)
            columns.append((number, column, place + 1, type_id, type_id, length, precision, scale, int(not is_needed)))
            plain_columns.append((session.database, schema, name, column, place + 1, type_name, precision, scale))
            if in_key:
                key.append((in_key, place + 1))
        if key:
            indexes.append((number, f"PK_{name}", 1, 1, 1))
            index_columns += [(number, 1, place, column, place, 0) for place, column in sorted(key)]
    return {
        "sys.schemas": ("name, schema_id", [(name, number) for name, number in schemas.items()]),
        "sys.objects": ("object_id, name, schema_id, type, type_desc, is_ms_shipped", objects),
        "sys.tables": ("object_id, name, schema_id, type, type_desc, is_ms_shipped", [row for row in objects if row[3] == "U"]),
        "sys.views": ("object_id, name, schema_id, type, type_desc, is_ms_shipped", [row for row in objects if row[3] == "V"]),
        "sys.columns": ("object_id, name, column_id, system_type_id, user_type_id, max_length, precision, scale, is_nullable", columns),
        "sys.types": ("name, system_type_id, user_type_id", [(name, number, number) for name, number in TYPES.items()]),
        "sys.indexes": ("object_id, name, index_id, is_primary_key, is_unique", indexes),
        "sys.index_columns": ("object_id, index_id, index_column_id, column_id, key_ordinal, is_included_column", index_columns),
        "sys.databases": (
            "name, database_id, snapshot_isolation_state, is_read_committed_snapshot_on",
            [("master", 1, 1, 0), (session.database, 5, int(faults.get("snapshot", True)), 0)],
        ),
        "information_schema.tables": ("TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE", plain),
        "information_schema.columns": (
            "TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, DATA_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE",
            plain_columns,
        ),
        **state(session, faults),
    }


def state(session, faults):
    """The transactions of our own sessions and the planted ones: [id, session, begin, type]."""
    planted = faults.get("transactions", [])
    own = [[other.transaction, other.spid, other.begun_at, 1] for other in session.server.sessions if other.transaction]
    listed = own + planted
    at = dt.datetime.now().isoformat(" ", "milliseconds")
    return {
        "sys.dm_tran_active_transactions": (
            "transaction_id, name, transaction_begin_time, transaction_type, transaction_state",
            [(row[0], "user_transaction", row[2], row[3], 2) for row in listed],
        ),
        "sys.dm_tran_session_transactions": ("session_id, transaction_id, is_user_transaction", [(row[1], row[0], 1) for row in listed]),
        "sys.dm_tran_database_transactions": (
            "transaction_id, database_id, database_transaction_begin_time, database_transaction_type, database_transaction_state",
            [(row[0], 5, row[2] if row in planted else None, 1, 4) for row in listed],
        ),
        "sys.dm_exec_sessions": ("session_id, is_user_process, database_id", [(row[1], 1, 5) for row in listed]),
        "sys.dm_exec_requests": (
            "session_id, start_time, status, command, database_id",
            [(session.spid, at, "running", "SELECT", 5)] + [tuple(row) for row in faults.get("requests", [])],
        ),
    }
