"""The server side of TDS 7.4 on SQLite: what SQL Server's protocol looks like to a driver, for tests of what reads through it.

It is not SQL Server: only statements that readers of tables run are known, and plans, locks and collations are not. Loopback only.

    python3 -m tds serve --port 14330 --db x.sqlite --password-file p [--tls cert.pem key.pem] [--faults faults.json] [--log log]
    python3 -m tds sql x.sqlite < statements.sql

`faults.json` is read again for every question, and may hold
    cut_after_rows, reset_after_rows, garbage_after_rows, hang_after_rows: n; hang_before_rows, hang_at_login, is_deaf: true
    error_after_rows: [n, number, class, text]; errors: [[part of a statement, number, class, text]]; refuse_login: [number, class, text]
    delay_row_ms; snapshot: false; deny: ["VIEW SERVER STATE"]; updateability: "READ_ONLY"; zone_minutes
    transactions: [[id, session, begin, type]]; requests: [[session, start, status, command, database]]; min_active_rowversion
"""
import argparse
import json
import os
import pathlib
import socket
import socketserver
import struct
import sys
import threading
import time
import traceback

from . import ddl
from .session import Gentle, Session
from .wire import Cut


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 128

    def __init__(self, given):
        self.path, self.tls, self.fault_file, self.user = given.db, given.tls, given.faults, given.user
        self.password = pathlib.Path(given.password_file).read_text(encoding="utf-8")
        self.databases = given.databases.lower().split(",")
        self.log_file = open(given.log, "a", buffering=1, encoding="utf-8") if given.log else sys.stderr
        self.sessions, self.lock = [], threading.Lock()
        pathlib.Path(given.db + ".pid").write_text(str(os.getpid()), encoding="utf-8")
        super().__init__(("127.0.0.1", given.port), Connection)

    def faults(self):
        try:
            return json.loads(pathlib.Path(self.fault_file).read_text(encoding="utf-8")) if self.fault_file else {}
        except FileNotFoundError:
            return {}

    def log(self, text):
        print(time.strftime("%H:%M:%S"), text, file=self.log_file)


class Connection(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(self.server, self.request)
        self.server.sessions.append(session)
        try:
            session.live()
        except (EOFError, ConnectionError) as error:
            self.server.log(f"closed {type(error).__name__}")
        except Gentle as cut:
            self.server.log(f"closed: {cut}")
        except Cut as cut:
            self.server.log(f"reset: {cut}")
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except Exception:
            self.server.log(traceback.format_exc())
        finally:
            self.server.sessions.remove(session)
            if session.engine:
                session.engine.db.close()


def main():
    parser = argparse.ArgumentParser()
    words = parser.add_subparsers(required=True)
    serve = words.add_parser("serve")
    serve.add_argument("--port", type=int, required=True)
    serve.add_argument("--db", required=True)
    serve.add_argument("--user", default="etl")
    serve.add_argument("--password-file", required=True)
    serve.add_argument("--databases", default="shop,master")
    serve.add_argument("--tls", nargs=2)
    serve.add_argument("--faults")
    serve.add_argument("--log")
    serve.set_defaults(run=lambda given: Server(given).serve_forever())
    sql = words.add_parser("sql")
    sql.add_argument("db")
    sql.set_defaults(run=lambda given: ddl.run(given.db, sys.stdin.read()))
    given = parser.parse_args()
    given.run(given)


main()
