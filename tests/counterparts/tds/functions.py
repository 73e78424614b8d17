"""T-SQL's functions, for SQLite."""
import datetime as dt
import decimal
import re
import uuid

from . import catalogue
from .tsql import Refused
from .types import INTEGERS, NANO, Type, moment

RANGES = {"TINYINT": (0, 255), "SMALLINT": (-2**15, 2**15 - 1), "INT": (-2**31, 2**31 - 1), "BIGINT": (-2**63, 2**63 - 1)}
TIMES = ("DATE", "TIME", "DATETIME", "SMALLDATETIME", "DATETIME2", "DATETIMEOFFSET")


def cast(declared, style, value, is_try):
    """CAST and CONVERT, to the text, number or bytes that the store keeps of a type."""
    if value is None:
        return None
    try:
        return converted(Type(declared), style, value)
    except Refused:
        if is_try:
            return None
        raise


def converted(kind, style, value):
    name = kind.name
    if isinstance(value, str) and re.match(r"[a-z0-9]+(\(\d+\))?\|", value):
        base, _, value = value.partition("|")
        if base in ("varbinary", "binary"):
            value = bytes.fromhex(value)
    if name in INTEGERS:
        number = int.from_bytes(value, "big") if isinstance(value, bytes) else integer(value, name)
        low, high = RANGES.get(name, RANGES["INT"])
        if not low <= number <= high:
            raise Refused(8115, 16, f"Arithmetic overflow error converting expression to data type {name.lower()}.")
        return number
    if name in ("DECIMAL", "NUMERIC", "MONEY", "SMALLMONEY"):
        scale = 4 if "MONEY" in name else kind.scale
        return format(decimal.Decimal(str(value)).quantize(decimal.Decimal(1).scaleb(-scale), decimal.ROUND_HALF_UP), "f")
    if name in ("REAL", "FLOAT"):
        return float(value)
    if name in TIMES:
        return time(kind, str(value))
    if name == "UNIQUEIDENTIFIER":
        return str(uuid.UUID(value)).upper()
    if name in ("VARBINARY", "BINARY"):
        if isinstance(value, int):
            return value.to_bytes(8, "big", signed=True)
        return value if isinstance(value, bytes) else value.encode("utf-16le")
    if isinstance(value, bytes):
        text = value.hex().upper()
        text = ("0x" + text) if style == 1 else text if style == 2 else value.decode("cp1252")
    else:
        text = written(value, style)
    return text if kind.is_max or name in ("NTEXT", "TEXT") else text[:int(kind.size or 30)]


def integer(value, name):
    try:
        return int(value)
    except ValueError:
        raise Refused(245, 16, f"Conversion failed when converting the varchar value '{value}' to data type {name.lower()}.") from None


def written(value, style):
    """A value as text: of times by the style."""
    text = str(value)
    if isinstance(value, float):
        # Style 3 is of 17 digits, and lossless (SQL Server 2016).
        return repr(value) if style == 3 else f"{value:.6g}"
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)( [+-]\d\d:\d\d)?", text)
    if found and style in (126, 127):
        return f"{found.group(1)}T{found.group(2)}{(found.group(3) or '').strip()}"
    return text


def time(kind, text):
    name = kind.name
    try:
        day, nanos, minutes = moment("1900-01-01 " + text if re.match(r"\d+:", text) else text)
    except ValueError as error:
        raise Refused(241, 16, str(error)) from None
    if name == "DATE":
        return str(day)
    digits = {"DATETIME": 3, "SMALLDATETIME": 0}.get(name, kind.digits)
    if name == "DATETIME":
        nanos = round(round(nanos * 300 / NANO) * 1000 / 300) * 10**6
    step = 10 ** (9 - digits) if name != "SMALLDATETIME" else 60 * NANO
    days, nanos = divmod((nanos + step // 2) // step * step, 86400 * NANO)
    day += dt.timedelta(days=days)
    seconds, rest = divmod(nanos, NANO)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}" + (f".{rest:09d}"[:digits + 1] if digits else "")
    if name == "TIME":
        return clock
    offset = f" {'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}" if name == "DATETIMEOFFSET" else ""
    return f"{day} {clock}{offset}"


SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "millisecond": 0.001}


def instant(text):
    day, nanos, minutes = moment(text)
    return (day.toordinal() * 86400 - minutes * 60) * NANO + nanos


def date_add(part, count, value):
    day, nanos, _ = moment(value)
    at = dt.datetime(day.year, day.month, day.day) + dt.timedelta(seconds=nanos / NANO + SECONDS[part] * count)
    return at.isoformat(" ", "microseconds") + "0"


def date_diff(part, first, second):
    return round((instant(second) - instant(first)) / NANO / SECONDS[part])


def switch_offset(value, offset):
    """The same instant on another clock."""
    if value is None:
        return None
    seconds, nanos = divmod(instant(value) + moment(f"2000-01-01 00:00:00 {offset}")[2] * 60 * NANO, NANO)
    day = dt.date.fromordinal(seconds // 86400)
    seconds %= 86400
    return f"{day} {seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{nanos:09d}"[:27] + " " + offset


class CountBig:
    """COUNT_BIG."""

    def __init__(self):
        self.rows = 0

    def step(self, value):
        self.rows += value is not None

    def finalize(self):
        return self.rows


def base_type(value, _name):
    return None if value is None else str(value).partition("|")[0].partition("(")[0]


def install(db, session):
    """Gives a connection of SQLite the functions; those of the session ask it."""
    server = session.server

    def guarded(function):
        def call(*values):
            try:
                return function(*values)
            except Refused as error:
                session.refused = error
                raise
            except Exception as error:
                session.refused = Refused(8114, 16, f"Error converting data type: {error}.")
                raise
        return call

    def now(utc, digits, offset=""):
        at = dt.datetime.now(dt.timezone.utc) + dt.timedelta(minutes=0 if utc else server.faults().get("zone_minutes", 60))
        return at.replace(tzinfo=None).isoformat(" ", "microseconds")[:20 + digits] + offset

    def zone():
        minutes = server.faults().get("zone_minutes", 60)
        return f" {'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"

    def object_id(text):
        # Without a schema: the login's own, then dbo ("OBJECT_ID (Transact-SQL)").
        parts = [part.replace("]]", "]") for part in re.findall(r"\[((?:[^]]|\]\])*)\]", text)] or text.split(".")
        schemas = parts[:-1] or [server.faults().get("default_schema", "dbo"), "dbo"]
        numbers = {full.lower(): number for number, full in enumerate(sorted(catalogue.tables(db).values()), 1000)}
        found = (numbers.get(f"{schema}.{parts[-1]}".lower()) for schema in schemas)
        return next((number for number in found if number is not None), None)

    functions = {
        "tds_cast": (4, cast),
        "tds_variable": (1, session.variable),
        "SWITCHOFFSET": (2, switch_offset),
        "tds_dateadd": (3, date_add),
        "tds_datediff": (3, date_diff),
        "tds_datediff_big": (3, date_diff),
        "GETDATE": (0, lambda: now(False, 3)),
        "GETUTCDATE": (0, lambda: now(True, 3)),
        "SYSDATETIME": (0, lambda: now(False, 6) + "0"),
        "SYSUTCDATETIME": (0, lambda: now(True, 6) + "0"),
        "SYSDATETIMEOFFSET": (0, lambda: now(False, 6) + "0" + zone()),
        "DB_ID": (0, lambda: 5),
        "DB_NAME": (0, lambda: session.database),
        "SCHEMA_NAME": (0, lambda: server.faults().get("default_schema", "dbo")),
        "OBJECT_ID": (1, object_id),
        "HAS_PERMS_BY_NAME": (3, lambda _object, _class, name: int(name not in server.faults().get("deny", []))),
        "SERVERPROPERTY": (1, lambda name: {"ProductVersion": "16.0.1000.6", "EngineEdition": 3, "Edition": "Developer Edition"}.get(name)),
        "DATABASEPROPERTYEX": (2, lambda _name, what: server.faults().get("updateability", "READ_WRITE") if what == "Updateability" else None),
        "MIN_ACTIVE_ROWVERSION": (0, lambda: session.least_rowversion()),
        "SQL_VARIANT_PROPERTY": (2, base_type),
        "ISNULL": (2, lambda value, other: other if value is None else value),
        "LEN": (1, lambda value: None if value is None else len(str(value).rstrip(" "))),
        "CONCAT": (-1, lambda *values: "".join("" if value is None else str(value) for value in values)),
        "QUOTENAME": (1, lambda name: "[" + name.replace("]", "]]") + "]"),
    }
    for name, (count, function) in functions.items():
        db.create_function(name, count, guarded(function))
    db.create_aggregate("COUNT_BIG", 1, CountBig)
