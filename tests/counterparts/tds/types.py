"""SQL Server's types: how TDS describes them and writes their values (MS-TDS 2.2.5.4 to 2.2.5.6)."""
import datetime as dt
import decimal
import re
import struct
import uuid

decimal.getcontext().prec = 80
decimal.DefaultContext.prec = 80

# SQL_Latin1_General_CP1_CI_AS: its texts of one byte are windows-1252.
COLLATION = bytes.fromhex("0904d00034")
INTEGERS = {"TINYINT": 1, "SMALLINT": 2, "INT": 4, "INTEGER": 4, "BIGINT": 8}
BYTES = ("VARBINARY", "BINARY", "ROWVERSION", "TIMESTAMP")
NARROW = ("VARCHAR", "CHAR")
LONG = {"TEXT": 0x23, "NTEXT": 0x63, "IMAGE": 0x22}
NANO = 10**9


class Type:
    """A declared type: name, size (a number or MAX), scale."""

    def __init__(self, declared):
        found = re.match(r"\s*(\w+)\s*(?:\(\s*(\w+)\s*(?:,\s*(\d+))?\s*\))?", declared or "NVARCHAR(4000)")
        self.name = found.group(1).upper()
        self.size = found.group(2).upper() if found.group(2) else None
        self.scale = int(found.group(3) or 0)

    @property
    def is_max(self):
        return self.size == "MAX" or self.name == "XML"

    @property
    def digits(self):
        """The digits of a second."""
        return 7 if self.size is None else int(self.size)

    @property
    def user_type(self):
        """What sets a rowversion apart from eight bytes."""
        return 80 if self.name in ("ROWVERSION", "TIMESTAMP") else 0

    def info(self):
        """TYPE_INFO."""
        name, size = self.name, self.size
        if name in INTEGERS:
            return bytes([0x26, INTEGERS[name]])
        fixed = {"BIT": "6801", "REAL": "6d04", "FLOAT": "6d08", "MONEY": "6e08", "SMALLMONEY": "6e04", "SMALLDATETIME": "6f04",
                 "DATETIME": "6f08", "DATE": "28", "UNIQUEIDENTIFIER": "2410", "XML": "f100", "SQL_VARIANT": "62491f0000"}
        if name in fixed:
            return bytes.fromhex(fixed[name])
        timed = {"TIME": 0x29, "DATETIME2": 0x2A, "DATETIMEOFFSET": 0x2B}
        if name in timed:
            return bytes([timed[name], self.digits])
        if name in ("DECIMAL", "NUMERIC"):
            return bytes([0x6A if name == "DECIMAL" else 0x6C, 17, int(size or 18), self.scale])
        if name in LONG:
            collation = b"" if name == "IMAGE" else COLLATION
            return bytes([LONG[name]]) + struct.pack("<i", 0x7FFFFFFF if name != "NTEXT" else 0x7FFFFFFE) + collation + b"\x01" + usv("t")
        if name in BYTES:
            tag = 0xAD if name != "VARBINARY" else 0xA5
            return bytes([tag]) + (b"\xff\xff" if size == "MAX" else struct.pack("<H", int(size or 8)))
        tag = {"VARCHAR": 0xA7, "CHAR": 0xAF, "NCHAR": 0xEF}.get(name, 0xE7)
        width = 1 if name in NARROW else 2
        default = 1 if name.endswith("CHAR") and "VAR" not in name else 8000 // width
        return bytes([tag]) + (b"\xff\xff" if size == "MAX" else struct.pack("<H", width * int(size or default))) + COLLATION

    def value(self, value):
        """A value of a row."""
        name = self.name
        if value is None:
            return self._null()
        if name == "SQL_VARIANT":
            return variant(value)
        if name in LONG:
            data = raw(value) if name == "IMAGE" else str(value).encode("cp1252" if name == "TEXT" else "utf-16le")
            # A text pointer and a timestamp come first.
            return b"\x10" + b"p" * 16 + b"t" * 8 + struct.pack("<i", len(data)) + data
        data = self.data(value)
        if self.is_max:
            return plp(data)
        if name in BYTES or self.info()[0] in (0xA7, 0xAF, 0xE7, 0xEF):
            return struct.pack("<H", len(data)) + data
        return bytes([len(data)]) + data

    def _null(self):
        if self.name in LONG:
            return b"\0"
        if self.name == "SQL_VARIANT":
            return b"\0" * 4
        if self.is_max:
            return b"\xff" * 8
        return b"\xff\xff" if self.name in BYTES or self.info()[0] in (0xA7, 0xAF, 0xE7, 0xEF) else b"\0"

    def data(self, value):
        """A value's bytes, without a length."""
        name = self.name
        if name in INTEGERS:
            return int(value).to_bytes(INTEGERS[name], "little", signed=name != "TINYINT")
        if name == "BIT":
            return bytes([int(value)])
        if name in ("REAL", "FLOAT"):
            return struct.pack("<f" if name == "REAL" else "<d", float(value))
        if name in ("MONEY", "SMALLMONEY"):
            units = int(decimal.Decimal(str(value)).scaleb(4))
            return struct.pack("<iI", units >> 32, units & 0xFFFFFFFF) if name == "MONEY" else struct.pack("<i", units)
        if name in ("DECIMAL", "NUMERIC"):
            units = int(decimal.Decimal(str(value)).scaleb(self.scale))
            return bytes([1 if units >= 0 else 0]) + abs(units).to_bytes(16, "little")
        if name == "UNIQUEIDENTIFIER":
            return uuid.UUID(str(value)).bytes_le
        if name in ("DATE", "TIME", "DATETIME", "SMALLDATETIME", "DATETIME2", "DATETIMEOFFSET"):
            return self._time(str(value))
        if name in BYTES:
            data = raw(value)
            return data.ljust(int(self.size or 8), b"\0") if name != "VARBINARY" else data
        text = str(value)
        if name in ("CHAR", "NCHAR"):
            text = text.ljust(int(self.size or 1))
        return text.encode("cp1252", "replace") if name in NARROW else text.encode("utf-16le")

    def _time(self, text):
        name = self.name
        day, nanos, minutes = moment("2000-01-01 " + text if name == "TIME" else text)
        if name == "DATE":
            return (day.toordinal() - 1).to_bytes(3, "little")
        if name == "DATETIME":
            return struct.pack("<iI", (day - dt.date(1900, 1, 1)).days, round(nanos * 300 / NANO))
        if name == "SMALLDATETIME":
            return struct.pack("<HH", (day - dt.date(1900, 1, 1)).days, nanos // (60 * NANO))
        if name == "DATETIMEOFFSET":
            # The wire has it in UTC, beside the offset.
            days, nanos = divmod(nanos - minutes * 60 * NANO, 86400 * NANO)
            day += dt.timedelta(days=days)
        digits = self.digits
        data = (nanos // 10 ** (9 - digits)).to_bytes(3 if digits <= 2 else 4 if digits <= 4 else 5, "little")
        if name != "TIME":
            data += (day.toordinal() - 1).to_bytes(3, "little")
        return data + (struct.pack("<h", minutes) if name == "DATETIMEOFFSET" else b"")


def usv(text):
    """A text with its length in 16 bits."""
    return struct.pack("<H", len(text.encode("utf-16le")) // 2) + text.encode("utf-16le")


def raw(value):
    return value if isinstance(value, bytes) else str(value).encode()


def plp(data):
    """A partially length-prefixed value, in chunks."""
    out = [struct.pack("<Q", len(data))]
    for start in range(0, len(data), 4000):
        chunk = data[start:start + 4000]
        out.append(struct.pack("<I", len(chunk)) + chunk)
    return b"".join(out) + b"\0\0\0\0"


def variant(value):
    """A SQL_VARIANT: its base type, properties and data. The store has `base type|value`."""
    base, _, text = str(value).partition("|")
    kind = Type(base)
    data = kind.data(text)
    properties = b"" if kind.name in INTEGERS or kind.name in ("MONEY", "FLOAT", "BIT", "DATETIME", "UNIQUEIDENTIFIER", "DATE") else \
        bytes([kind.digits]) if "TIME" in kind.name else COLLATION + struct.pack("<H", 8000)
    tags = {"TINYINT": 0x30, "SMALLINT": 0x34, "INT": 0x38, "BIGINT": 0x7F, "BIT": 0x32, "FLOAT": 0x3E, "MONEY": 0x3C, "DATETIME": 0x3D,
            "DATE": 0x28, "UNIQUEIDENTIFIER": 0x24}
    out = bytes([tags.get(kind.name, kind.info()[0]), len(properties)]) + properties + data
    return struct.pack("<I", len(out)) + out


def moment(text):
    """Returns day, nanoseconds of the day and minutes of the offset of a text."""
    found = re.match(r"(\d+)-(\d+)-(\d+)(?:[ T](\d+):(\d+)(?::(\d+)(?:\.(\d+))?)?)?\s*(?:([+-])(\d+):(\d+)|Z)?", text)
    if not found:
        raise ValueError("Conversion failed when converting date and/or time from character string.")
    year, month, day, hour, minute, second = (int(found.group(place) or 0) for place in range(1, 7))
    nanos = int((found.group(7) or "0").ljust(9, "0")[:9])
    minutes = (int(found.group(9)) * 60 + int(found.group(10))) * (1 if found.group(8) == "+" else -1) if found.group(8) else 0
    return dt.date(year, month, day), (hour * 3600 + minute * 60 + second) * NANO + nanos, minutes
