"""Makes and fills the tables that are read, from T-SQL with whatever SQLite has beyond it."""
import sys

from . import catalogue, functions, tsql
from .engine import connect


class Setup:
    """Stands for a session where there is none."""

    def __init__(self):
        self.server, self.database, self.refused = self, "shop", None

    def faults(self):
        return {}

    def variable(self, name):
        return name

    def least_rowversion(self):
        return bytes(8)


def run(path, text):
    db = connect(path)
    functions.install(db, Setup())
    db.execute("BEGIN IMMEDIATE")
    for part in tsql.statements(text):
        words = [token.text.upper() for token in part if token.kind != "blank"]
        sql = create(part) if words[:2] == ["CREATE", "TABLE"] else tsql.Rewritten(view(part), catalogue.tables(db)).sql
        try:
            db.execute(sql)
        except Exception as error:
            sys.exit(f"{error}: {sql}")
    db.execute("COMMIT")


def full_name(part, at):
    """A table's name with its schema, and where it ends."""
    names = [part[at].name]
    while tsql.next_sign(part, at + 1) == ".":
        at = tsql.skip(part, tsql.skip(part, at + 1) + 1)
        names.append(part[at].name)
    return ".".join(["dbo"] * (len(names) == 1) + names[-2:]), at


def view(part):
    """Gives the name of a view its schema."""
    place = next((place for place, token in enumerate(part) if token.means("VIEW")), None)
    if place is None:
        return part
    at = tsql.skip(part, place + 1)
    name, end = full_name(part, at)
    return part[:at] + [tsql.Token("quoted", tsql.quoted(name))] + part[end + 1:]


def create(part):
    """CREATE TABLE whose types SQLite keeps as they are written and doesn't act on."""
    at = next(place for place, token in enumerate(part) if token.means("TABLE"))
    name, at = full_name(part, tsql.skip(part, at + 1))
    opening = tsql.skip(part, at + 1)
    columns = []
    for piece in tsql.commas(part[opening + 1:tsql.closing(part, opening)]):
        piece = [token for token in piece if token.kind != "blank"]
        if piece[0].kind == "word" and piece[0].means("PRIMARY", "CONSTRAINT"):
            columns.append(" ".join(tsql.written(token) for token in piece))
            continue
        end = 2
        if len(piece) > 2 and piece[2].means("("):
            end = tsql.closing(piece, 2) + 1
        declared = "".join(token.text for token in piece[1:end]).upper()
        # Texts and numbers stay what they are only where the type's name says nothing to SQLite.
        is_integer = declared in ("TINYINT", "SMALLINT", "INT", "BIGINT", "BIT")
        rest = " ".join(tsql.written(token) for token in piece[end:])
        columns.append(f"{tsql.quoted(piece[0].name)} {tsql.quoted(declared if is_integer else declared + ' BLOB')} {rest}")
    return f"CREATE TABLE {tsql.quoted(name)} ({', '.join(columns)})"
