"""T-SQL as SQLite takes it: enough of it for what readers of tables ask. Statements go in as words and signs, not as text."""
import re

TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<string>[Nn]?'(?:[^']|'')*')
    |(?P<bracket>\[(?:[^\]]|\]\])*\])
    |(?P<quoted>"(?:[^"]|"")*")
    |(?P<binary>0[xX][0-9A-Fa-f]*)
    |(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
    |(?P<word>@@?\w+|[#\w$]+)
    |(?P<sign>.)""",
    re.X | re.S,
)
BEFORE_TABLE = ("FROM", "JOIN", "INTO", "UPDATE", "TABLE", "APPLY")
TYPE_SIZE = re.compile(r"\s*\(\s*(\w+)\s*(?:,\s*(\w+)\s*)?\)")


class Refused(Exception):
    """An error of the server: number, class, text."""

    def __init__(self, number, severity, text):
        super().__init__(text)
        self.number, self.severity, self.text = number, severity, text


class Token:
    def __init__(self, kind, text):
        self.kind, self.text = kind, text

    @property
    def is_name(self):
        return self.kind in ("bracket", "quoted") or self.kind == "word" and not self.text.startswith("@")

    @property
    def name(self):
        if self.kind == "bracket":
            return self.text[1:-1].replace("]]", "]")
        return self.text[1:-1].replace('""', '"') if self.kind == "quoted" else self.text

    def means(self, *words):
        return self.kind in ("word", "sign") and self.text.upper() in words


def tokens(sql):
    found, at = [], 0
    while at < len(sql):
        match = TOKEN.match(sql, at)
        if sql[at] in "'\"[" and match.lastgroup == "sign" and sql[at] != "]":
            raise Refused(105, 15, "Unclosed quotation mark after the character string.")
        if match.lastgroup == "blank":
            found.append(Token("blank", " "))
        else:
            found.append(Token(match.lastgroup, match.group()))
        at = match.end()
    return found


def statements(sql):
    """Parts a batch into statements, by semicolons and by words that begin one."""
    parts, part, depth = [], [], 0
    for token in tokens(sql):
        depth += token.means("(") - token.means(")")
        begins = depth == 0 and token.means("SET") and not any(known.means("UPDATE") for known in part)
        if depth == 0 and (token.means(";") or begins):
            parts.append(part)
            part = [] if token.means(";") else [token]
        else:
            part.append(token)
    parts.append(part)
    return [part for part in parts if any(token.kind != "blank" for token in part)]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


class Rewritten:
    """A statement of SQLite's, and the types that casts in it give to names."""

    def __init__(self, part, tables):
        self.tables, self.types = tables, {}
        self.is_catalogue = False
        self.found_tables = []
        self.sql = self._level([token for token in part])

    def _level(self, part):
        """Rewrites one level of brackets; deeper ones by recursion."""
        out, at, limit, expects_table = [], 0, None, ""
        while at < len(part):
            token = part[at]
            if token.means("TOP"):
                at, limit = self._top(part, at + 1)
                continue
            if token.means("OFFSET") and any(later.means("ROWS", "ROW") for later in part[at:]):
                count = next((later.text for later in part[at + 1:] if later.kind == "number" and later.text != "0"), "0")
                out.append(f" LIMIT {count}")
                break
            if token.means("CAST", "TRY_CAST", "CONVERT", "TRY_CONVERT") and next_sign(part, at + 1) == "(":
                at, text = self._cast(part, at)
                out.append(text)
                continue
            if token.means("DATEADD", "DATEDIFF", "DATEDIFF_BIG", "DATEPART"):
                out.append("tds_" + token.text.lower())
                at = skip(part, at + 1)
                out.append("('" + part[skip(part, at + 1)].text.lower() + "'")
                end = closing(part, at)
                out.append(self._level(part[skip(part, at + 1) + 1:end]) + ")")
                at = end + 1
                continue
            if token.means("WITH") and next_sign(part, at + 1) == "(" and expects_no_query(part, at + 1):
                at = closing(part, skip(part, at + 1)) + 1
                continue
            if token.means("COLLATE"):
                at = skip(part, at + 1) + 1
                continue
            if token.means("("):
                end = closing(part, at)
                out.append("(" + self._level(part[at + 1:end]) + ")")
                at, expects_table = end + 1, ""
                continue
            if expects_table and token.is_name:
                at, text = self._table(part, at, expects_table in ("FROM", "JOIN", "APPLY"))
                out.append(text)
                expects_table = ""
                continue
            if token.kind != "blank":
                expects_table = token.text.upper() if token.means(*BEFORE_TABLE) else ""
            out.append(written(token))
            at += 1
        text = "".join(out)
        return f"{text} LIMIT {limit}" if limit is not None else text

    def _top(self, part, at):
        at = skip(part, at)
        if part[at].means("("):
            end = closing(part, at)
            return end + 1, self._level(part[at + 1:end])
        return at + 1, part[at].text

    def _cast(self, part, at):
        """CAST(x AS type) and CONVERT(type, x, style) become calls; a name behind them gets the type."""
        is_convert, is_try = "CONVERT" in part[at].text.upper(), part[at].text.upper().startswith("TRY")
        opening = skip(part, at + 1)
        end = closing(part, opening)
        inner = part[opening + 1:end]
        style = "NULL"
        if is_convert:
            pieces = commas(inner)
            declared, value = text_of(pieces[0]), self._level(pieces[1])
            style = self._level(pieces[2]) if len(pieces) > 2 else style
        else:
            place = max(place for place, token in enumerate(inner) if token.means("AS"))
            declared, value = text_of(inner[place + 1:]), self._level(inner[:place])
        after = [token for token in part[end + 1:end + 6] if token.kind != "blank"]
        if len(after) > 1 and after[0].means("AS") and after[1].is_name:
            self.types[after[1].name.lower()] = declared
        declared = declared.strip().replace("'", "''")
        return end + 1, f"tds_cast('{declared}', {style}, {value}, {int(is_try)})"

    def _table(self, part, at, is_read):
        names, last = [part[at].name], at
        while True:
            dot = skip(part, last + 1)
            if dot >= len(part) or not part[dot].means("."):
                break
            last = skip(part, dot + 1)
            names.append(part[last].name)
        if len(names) == 1 and is_read and next_sign(part, last + 1) == "(":
            return last + 1, names[0]
        schema, table = (names[-2] or "dbo", names[-1]) if len(names) > 1 else ("dbo", names[0])
        if schema.lower() in ("sys", "information_schema"):
            self.is_catalogue = True
            full = f"{schema}.{table}".lower()
        else:
            full = self.tables.get(f"{schema}.{table}".lower())
            # A name without a schema may be a common table expression's.
            if full is None and len(names) == 1:
                full = names[0]
            self.found_tables.append(full)
            if full is None:
                raise Refused(208, 16, f"Invalid object name '{'.'.join(names)}'.")
        after = [token for token in part[last + 1:] if token.kind != "blank"][:1]
        keeps = not after or not (after[0].means("AS") or after[0].is_name and not after[0].means(
            "WHERE", "JOIN", "INNER", "LEFT", "CROSS", "ON", "ORDER", "GROUP", "UNION", "SET", "VALUES", "SELECT", "WITH", "HAVING", "EXCEPT"))
        return last + 1, quoted(full) + (f" AS {quoted(table)}" if keeps and is_read else "")


def written(token):
    if token.kind == "string":
        return token.text.lstrip("Nn") if token.text[0] in "Nn" else token.text
    if token.kind in ("bracket", "quoted"):
        return quoted(token.name)
    if token.kind == "binary":
        digits = token.text[2:]
        return "x'" + ("0" + digits if len(digits) % 2 else digits) + "'"
    if token.text.startswith("@@"):
        return f"tds_variable('{token.text[2:].lower()}')"
    return token.text


def skip(part, at):
    while at < len(part) and part[at].kind == "blank":
        at += 1
    return at


def next_sign(part, at):
    at = skip(part, at)
    return part[at].text if at < len(part) else ""


def expects_no_query(part, at):
    """Whether the bracket at hand holds a table's hint, not a query."""
    opening = skip(part, at)
    return not any(token.means("SELECT") for token in part[opening:closing(part, opening)])


def closing(part, at):
    depth = 0
    for place in range(at, len(part)):
        depth += part[place].means("(") - part[place].means(")")
        if depth == 0 and place > at:
            return place
    raise Refused(102, 15, "Incorrect syntax near '('.")


def commas(part):
    pieces, depth = [[]], 0
    for token in part:
        depth += token.means("(") - token.means(")")
        if token.means(",") and depth == 0:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return pieces


def text_of(part):
    return "".join(token.text for token in part).strip()
