"""A client's session: prelogin, login, batches, remote procedures, transactions, attention, faults."""
import datetime as dt
import itertools
import os
import re
import struct

from . import tsql, wire
from .engine import Engine
from .parameters import Bytes, Parameter
from .tsql import Refused
from .wire import Cut, Wire

PROCEDURES = {1: "sp_cursor", 2: "sp_cursoropen", 3: "sp_cursorprepare", 5: "sp_cursorprepexec", 7: "sp_cursorfetch", 9: "sp_cursorclose",
              10: "sp_executesql", 11: "sp_prepare", 12: "sp_execute", 13: "sp_prepexec", 15: "sp_unprepare"}
NUMBERS = itertools.count(51)
TRANSACTIONS = itertools.count(7001)


class Session:
    def __init__(self, server, socket):
        self.server, self.wire = server, Wire(socket)
        self.spid, self.database, self.prepared = next(NUMBERS), "master", {}
        self.transaction, self.begun_at, self.begun_as, self.is_implicit = 0, "", "", False
        self.engine, self.refused = None, None

    def live(self):
        while True:
            kind, body = self.wire.message()
            if kind == 0x12:
                self._prelogin(body)
            elif kind == 0x10:
                self._login(body)
            elif kind == 6:
                self.wire.send(wire.done(0x20))
            elif kind in (1, 3, 0x0E):
                # ALL_HEADERS come first.
                body = body[struct.unpack("<I", body[:4])[0]:]
                {1: self._batch, 3: self._call, 0x0E: self._transaction_request}[kind](body)
            else:
                raise Cut(f"packet type {kind}")

    # Beginning

    def _prelogin(self, body):
        asked, at = 2, 0
        while body[at] != 0xFF:
            token, offset, _ = struct.unpack(">BHH", body[at:at + 5])
            at += 5
            if token == 1:
                asked = body[offset]
        has_tls = bool(self.server.tls)
        if asked in (1, 3) and not has_tls:
            # The client demands what is not there: it ends the connection.
            answer = 2
        else:
            answer = (1 if asked in (1, 3) else 0) if has_tls else 2
        options = [(0, struct.pack(">BBHH", 16, 0, 1000, 0)), (1, bytes([answer])), (2, b"\0"), (3, b""), (4, b"\0")]
        head, data, offset = b"", b"", 5 * len(options) + 1
        for token, value in options:
            head += struct.pack(">BHH", token, offset + len(data), len(value))
            data += value
        self.wire.send(head + b"\xff" + data)
        self.server.log(f"prelogin asked={asked} answered={answer}")
        if answer != 2:
            self.wire.handshake(*self.server.tls)
            self.wire.tls_ends_at_login = answer == 0

    def _login(self, body):
        def text(place):
            offset, length = struct.unpack("<HH", body[place:place + 4])
            return body[offset:offset + 2 * length]

        user, database = text(40).decode("utf-16le"), text(68).decode("utf-16le")
        password = bytes((((byte ^ 0xA5) << 4) & 0xF0) | ((byte ^ 0xA5) >> 4) for byte in text(44)).decode("utf-16le")
        intent = "ReadOnly" if body[26] & 0x20 else "ReadWrite"
        self.server.log(f"login user={user} database={database} intent={intent} tls={'yes' if self.wire.tls else 'no'}")
        if self.wire.tls_ends_at_login:
            self.wire.tls = None
        faults = self.server.faults()
        if faults.get("hang_at_login"):
            self._wait_for_attention()
        if faults.get("refuse_login"):
            self._refuse(*faults["refuse_login"])
        if user != self.server.user or password != self.server.password:
            self._refuse(18456, 14, f"Login failed for user '{user}'.")
        if database and database.lower() not in self.server.databases:
            refusal = f'Cannot open database "{database}" requested by the login. The login failed.'
            self._refuse(4060, 11, refusal, wire.error(18456, 14, f"Login failed for user '{user}'."))
        self.database = database or "master"
        self.engine = Engine(self)
        features = b"\xae\xff" if body[27] & 0x10 else b""
        self.wire.send(wire.welcome(self.database) + features + wire.done())

    def _refuse(self, number, severity, text, more=b""):
        self.wire.send(wire.error(number, severity, text) + more + wire.done(2))
        raise Gentle("refused login")

    # What functions of T-SQL ask

    def variable(self, name):
        known = {"spid": self.spid, "version": "Microsoft SQL Server 2022 (counterpart of the tests)", "trancount": int(bool(self.transaction)),
                 "language": "us_english", "rowcount": 0, "microsoftversion": 0x10000000, "servername": "COUNTERPART"}
        if name not in known:
            raise Refused(137, 15, f'Must declare the scalar variable "@@{name}".')
        return known[name]

    def least_rowversion(self):
        return self.server.faults().get("min_active_rowversion", 2**40).to_bytes(8, "big")

    def begin_transaction(self, isolation):
        self.transaction, self.begun_as = next(TRANSACTIONS), isolation
        zone = dt.timedelta(minutes=self.server.faults().get("zone_minutes", 60))
        self.begun_at = (dt.datetime.now(dt.timezone.utc) + zone).replace(tzinfo=None).isoformat(" ", "milliseconds")

    # Statements

    def _batch(self, body):
        self._answer(body.decode("utf-16le"), {}, 0xFD)

    def _call(self, body):
        data = Bytes(body)
        length = data.number(2)
        name = PROCEDURES.get(data.number(2)) if length == 0xFFFF else data.take(length * 2).decode("utf-16le")
        data.take(2)
        given = []
        while not data.is_over and data.data[data.at] not in (0x80, 0xFF):
            given.append(Parameter(data))
        values = [parameter.value for parameter in given]
        self.server.log(f"call {name} {[(hex(parameter.tag), parameter.value) for parameter in given]}")
        name = (name or "").lower().split(".")[-1]
        end = wire.done(0, token=0xFE)
        if name == "sp_executesql":
            self._answer(values[0], bound(values[1] if len(values) > 1 else "", values[2:]), 0xFF, end)
        elif name in ("sp_prepexec", "sp_prepare"):
            handle = len(self.prepared) + 1
            self.prepared[handle] = values[2], values[1]
            end = returned(handle) + end
            if name == "sp_prepexec":
                self._answer(values[2], bound(values[1], values[3:]), 0xFF, end)
            else:
                self._describe(values[2], bound(values[1], []), end)
        elif name == "sp_execute":
            sql, definitions = self.prepared[values[0]]
            self._answer(sql, bound(definitions, values[1:]), 0xFF, end)
        elif name == "sp_unprepare":
            self.wire.send(b"\x79\0\0\0\0" + end)
        else:
            text = f"Could not find stored procedure '{name}'."
            self.wire.send(wire.error(2812, 16, text) + b"\x79\0\0\0\0" + wire.done(2, token=0xFE))

    def _describe(self, sql, values, end):
        """What a prepared statement's rows will look like."""
        out = b""
        try:
            for part in tsql.statements(sql):
                result = self.engine.run(part, values)
                if result.rows is not None:
                    out += wire.columns(result.names, result.types) + wire.done(0, token=0xFF)
            self.wire.send(out + b"\x79\0\0\0\0" + end)
        except Refused as refused:
            self.wire.send(wire.error(refused.number, refused.severity, refused.text) + wire.done(2, token=0xFE))

    def _answer(self, sql, values, token, end=b""):
        self.server.log(f"sql {sql} {values or ''}")
        is_call = token == 0xFF
        try:
            parts = tsql.statements(sql)
            faults = self.server.faults()
            self._fail_by_text(sql, faults)
            for place, part in enumerate(parts):
                is_last = place == len(parts) - 1
                status = 0 if is_last and not is_call else 1
                result = self.engine.run(part, values)
                if result.rows is None:
                    self.wire.send(wire.done(status, result.changed, token), is_last=False)
                elif not self._rows(result, status, token, faults):
                    return
            if not parts:
                self.wire.send(wire.done(0, token=token), is_last=False)
            self.wire.send(b"\x79\0\0\0\0" + end if is_call else b"")
        except Refused as refused:
            tail = b"\x79\0\0\0\0" + wire.done(2, token=0xFE) if is_call else b""
            failed = wire.done(3 if is_call else 2, token=token)
            self.wire.send(wire.error(refused.number, refused.severity, refused.text) + failed + tail)

    def _fail_by_text(self, sql, faults):
        for text, number, severity, words in faults.get("errors", []):
            if text in sql:
                raise Refused(number, severity, words)

    def _rows(self, result, status, token, faults):
        """Sends a result; false where the answer has ended already."""
        faults = faults if result.is_of_tables and faults.get("matching", "") in " ".join(result.names) else {}
        self.wire.send(wire.columns(result.names, result.types), is_last=False)
        if faults.get("hang_before_rows"):
            self.wire.flush()
            return self._wait_for_attention()
        count = 0
        for row in result.rows:
            self._fault_before(count, faults)
            encoded = b"".join(kind.value(value) for kind, value in zip(result.types, row))
            self.wire.send(b"\xd1" + encoded, is_last=False)
            count += 1
            if faults.get("hang_after_rows") == count:
                self.wire.flush()
                return self._wait_for_attention()
            if faults.get("delay_row_ms") and self._is_cancelled_within(faults["delay_row_ms"] / 1000):
                return self._attend()
        self._fault_before(count, faults)
        self.wire.send(wire.done(status, count, token), is_last=False)
        return True

    def _fault_before(self, count, faults):
        if faults.get("cut_after_rows") == count:
            self.wire.flush()
            raise Gentle("cut")
        if faults.get("reset_after_rows") == count:
            self.wire.flush()
            raise Cut("reset")
        if faults.get("garbage_after_rows") == count:
            self.wire.send(os.urandom(600))
            raise Cut("garbage")
        error = faults.get("error_after_rows")
        if error and error[0] == count:
            raise Refused(*error[1:4])

    # Attention

    def _is_cancelled_within(self, seconds):
        self.wire.flush()
        self.wire.socket.settimeout(seconds)
        try:
            return self.wire.message()[0] == 6
        except TimeoutError:
            return False
        finally:
            self.wire.socket.settimeout(None)

    def _wait_for_attention(self):
        while self.server.faults().get("is_deaf") or self.wire.message()[0] != 6:
            if self.server.faults().get("is_deaf"):
                self.wire.socket.recv(65536) or exit_thread()
        return self._attend()

    def _attend(self):
        self.server.log("attention")
        self.wire.out = b""
        self.wire.send(wire.done(0x20))
        return False

    def _transaction_request(self, body):
        kind = struct.unpack("<H", body[:2])[0]
        before = struct.pack("<Q", self.transaction)
        self.server.log(f"transaction request {kind}")
        if kind == 5:
            self.engine.begin()
            out = wire.change(8, b"\x08" + struct.pack("<Q", self.transaction), b"\0")
        else:
            self.engine.end("COMMIT" if kind == 7 else "ROLLBACK")
            out = wire.change(9 if kind == 7 else 10, b"\0", b"\x08" + before)
            # A name, then whether the next one begins at once.
            if body[3 + body[2]] & 1:
                self.engine.begin()
                out += wire.change(8, b"\x08" + struct.pack("<Q", self.transaction), b"\0")
        self.wire.send(out + wire.done())


class Gentle(Cut):
    """The connection is closed in order."""


def exit_thread():
    raise EOFError


def bound(definitions, values):
    """Parameters by the names of their definitions: `@P1 datetime2(7), @P2 int`."""
    names = re.findall(r"@\w+", re.sub(r"\([^)]*\)", "", definitions or ""))
    return dict(itertools.zip_longest(names, values[:len(names)]))


def returned(handle):
    return b"\xac" + struct.pack("<H", 0) + wire.bv("") + b"\x01" + struct.pack("<IH", 0, 1) + b"\x26\x04\x04" + struct.pack("<i", handle)
