"""The parameters of remote procedure calls, as clients write them (MS-TDS 2.2.6.6)."""
import datetime as dt
import decimal
import struct
import uuid

from .types import NANO


class Bytes:
    """Bytes that are read one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, count, signed=False):
        return int.from_bytes(self.take(count), "little", signed=signed)

    @property
    def is_over(self):
        return self.at >= len(self.data)


class Parameter:
    """A name, its value, and the type's tag."""

    def __init__(self, data):
        self.name = data.take(data.number(1) * 2).decode("utf-16le")
        self.status = data.number(1)
        self.tag = data.number(1)
        self.value = value(data, self.tag)


def value(data, tag):
    if tag in (0x30, 0x34, 0x38, 0x7F):
        size = {0x30: 1, 0x34: 2, 0x38: 4, 0x7F: 8}[tag]
        return data.number(size, signed=size > 1)
    if tag in (0x26, 0x68, 0x6D, 0x6E, 0x6F, 0x24):
        data.take(1)
        return short(data.take(data.number(1)), tag)
    if tag in (0x6A, 0x6C):
        data.take(2)
        scale, got = data.number(1), data.take(data.number(1))
        sign = 1 if got and got[0] else -1
        return format(sign * decimal.Decimal(int.from_bytes(got[1:], "little")).scaleb(-scale), "f") if got else None
    if tag in (0x29, 0x2A, 0x2B):
        digits, got = data.number(1), data.take(data.number(1))
        return time(got, digits, tag) if got else None
    if tag == 0x28:
        got = data.take(data.number(1))
        return str(dt.date.fromordinal(int.from_bytes(got, "little") + 1)) if got else None
    if tag in (0xA7, 0xAF, 0xE7, 0xEF, 0xA5, 0xAD):
        size = data.number(2)
        if tag not in (0xA5, 0xAD):
            data.take(5)
        if size == 0xFFFF:
            got = chunks(data)
        else:
            length = data.number(2)
            got = None if length == 0xFFFF else data.take(length)
        if got is None or tag in (0xA5, 0xAD):
            return got
        return got.decode("utf-16le" if tag in (0xE7, 0xEF) else "cp1252")
    if tag in (0x63, 0x23):
        data.take(9)
        length = data.number(4, signed=True)
        return data.take(length).decode("utf-16le" if tag == 0x63 else "cp1252") if length >= 0 else None
    raise ValueError(f"a parameter of type 0x{tag:x}")


def short(got, tag):
    if not got:
        return None
    if tag in (0x26, 0x68):
        return int.from_bytes(got, "little", signed=len(got) > 1)
    if tag == 0x6D:
        return struct.unpack("<d" if len(got) == 8 else "<f", got)[0]
    if tag == 0x24:
        return str(uuid.UUID(bytes_le=got)).upper()
    if tag == 0x6F and len(got) == 8:
        days, ticks = struct.unpack("<iI", got)
        at = dt.datetime(1900, 1, 1) + dt.timedelta(days=days, milliseconds=round(ticks * 10 / 3))
        return at.isoformat(" ", "milliseconds")
    raise ValueError(f"a parameter of type 0x{tag:x} and {len(got)} bytes")


def chunks(data):
    if data.number(8) == 2**64 - 1:
        return None
    out = b""
    while size := data.number(4):
        out += data.take(size)
    return out


def time(got, digits, tag):
    size = 3 if digits <= 2 else 4 if digits <= 4 else 5
    seconds, nanos = divmod(int.from_bytes(got[:size], "little") * 10 ** (9 - digits), NANO)
    fraction = f".{nanos:09d}"[:digits + 1] if digits else ""
    if tag == 0x29:
        return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"
    day = dt.date.fromordinal(int.from_bytes(got[size:size + 3], "little") + 1)
    minutes = struct.unpack("<h", got[size + 3:size + 5])[0] if tag == 0x2B else 0
    at = dt.datetime(day.year, day.month, day.day) + dt.timedelta(seconds=seconds, minutes=minutes)
    offset = f" {'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}" if tag == 0x2B else ""
    return at.isoformat(" ", "seconds") + fraction + offset
