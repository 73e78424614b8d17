"""Packets, TLS and tokens of TDS 7.4 (MS-TDS 2.2.3 and 2.2.7)."""
import ssl
import struct

from .types import COLLATION, usv

PACKET = 4096


class Cut(Exception):
    """The connection ends here."""


class Wire:
    """A client's connection, with TLS inside of packets until it is set up."""

    def __init__(self, socket):
        self.socket, self.buffer, self.out, self.tls, self.tls_ends_at_login = socket, b"", b"", None, False

    def receive(self, count):
        while len(self.buffer) < count:
            if self.tls:
                try:
                    self.buffer += self.tls.read(65536)
                    continue
                except ssl.SSLWantReadError:
                    pass
            got = self.socket.recv(65536)
            if not got:
                raise EOFError
            if self.tls:
                self.incoming.write(got)
            else:
                self.buffer += got
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def message(self):
        """Returns the type and the body of the next message."""
        body = b""
        while True:
            head = self.receive(8)
            body += self.receive(struct.unpack(">H", head[2:4])[0] - 8)
            if head[1] & 1:
                return head[0], body

    def send(self, data, kind=4, is_last=True):
        self.out += data
        room = PACKET - 8
        while len(self.out) > room:
            part, self.out = self.out[:room], self.out[room:]
            self._packet(kind, part, 0)
        if is_last:
            part, self.out = self.out, b""
            self._packet(kind, part, 1)

    def flush(self):
        """Sends what waits, as part of a message that goes on."""
        if self.out:
            part, self.out = self.out, b""
            self._packet(4, part, 0)

    def _packet(self, kind, part, status):
        data = struct.pack(">BBHHBB", kind, status, len(part) + 8, 51, 1, 0) + part
        if self.tls:
            self.tls.write(data)
            data = self.outgoing.read()
        self.socket.sendall(data)

    def handshake(self, certificate, key):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        # TDS 7.4 carries the handshake in packets, which TLS 1.3 doesn't bear.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        is_done = False
        while not is_done:
            try:
                tls.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                pass
            data = outgoing.read()
            if data:
                self.send(data, kind=0x12)
            if not is_done:
                incoming.write(self.message()[1])
        self.tls, self.incoming, self.outgoing = tls, incoming, outgoing


def bv(text):
    """A text with its length in 8 bits."""
    return bytes([len(text)]) + text.encode("utf-16le")


def info(number, severity, text, token=0xAB):
    body = struct.pack("<iBB", number, 1, severity) + usv(text) + bv("COUNTERPART") + bv("") + struct.pack("<I", 1)
    return bytes([token]) + struct.pack("<H", len(body)) + body


def error(number, severity, text):
    return info(number, severity, text, 0xAA)


def change(kind, new, old):
    body = bytes([kind]) + new + old
    return b"\xe3" + struct.pack("<H", len(body)) + body


def done(status=0, rows=None, token=0xFD):
    return struct.pack("<BHHQ", token, status | (0x10 if rows is not None else 0), 0xC1, rows or 0)


def columns(names, types):
    out = b"\x81" + struct.pack("<H", len(names))
    for name, kind in zip(names, types):
        out += struct.pack("<IH", kind.user_type, 9) + kind.info() + bv(name)
    return out


def welcome(database):
    ack = b"\x01" + struct.pack(">I", 0x74000004) + bv("Microsoft SQL Server") + bytes([16, 0, 3, 232])
    return (
        change(1, bv(database), bv("master"))
        + info(5701, 0, f"Changed database context to '{database}'.")
        + change(7, b"\x05" + COLLATION, b"\0")
        + change(2, bv("us_english"), bv(""))
        + change(4, bv(str(PACKET)), bv(str(PACKET)))
        + b"\xad" + struct.pack("<H", len(ack)) + ack
    )
