/* An ODBC driver that behaves as Oracle's documents say of theirs ("Oracle Database Development Guide", "Using the Oracle ODBC Driver"; SQL
   Language Reference 19c). No server stands behind it: a folder holds what it answers. It is not Oracle's driver: say so where it is used.

   DATE and TIMESTAMP are both SQL_TYPE_TIMESTAMP, without a word on zones; NUMBER is SQL_DECIMAL, without a precision SQL_FLOAT; a CLOB has
   2147483647 characters; '' is NULL; there are no C integers of 64 bits, no login timeout, no brackets, no LIMIT, no AS before the alias of a query.

   FOLDER/answers, read for every statement: blocks of lines, of which the first whose texts all occur in the statement answers.
     ? TEXT & TEXT          a result: then a line of columns, NAME TYPE|NAME TYPE, then rows, a|b|c; an empty cell is NULL
     ! TEXT & TEXT          an error: then a line of SQLSTATE, number, text
   In place of a row: "! SQLSTATE NUMBER TEXT" is an error there, "~ MS" a pause, "x N ROW" the row N times, "#" in it its number. A cell "*N TEXT"
   is the text N times. FOLDER/login: a line with the password. FOLDER/log: statements, parameters, columns that are bound.

   Build: gcc -shared -fPIC -D_GNU_SOURCE -Wl,-Bsymbolic -DFOLDER='"/some/folder"' -o liboracle.so oracle.c */
#include <sql.h>
#include <sqlext.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define API __attribute__((visibility("default"))) SQLRETURN
#define COLUMNS_MAX 64
#define PARAMETERS_MAX 16

typedef struct { int is_set, native; char state[6], text[400]; } Diag;
typedef struct { Diag diag; } Env;
typedef struct { Diag diag; } Dbc;
typedef struct { SQLSMALLINT type; SQLPOINTER at; SQLLEN room, *ind; } Bind;
typedef struct { SQLSMALLINT type; SQLPOINTER at; SQLLEN *ind; } Given;
typedef struct {
    Diag diag;
    char *sql, *answers, *next, *repeated;
    long repeat, number;
    int columns, is_open;
    char *name[COLUMNS_MAX], *type[COLUMNS_MAX], *cell[COLUMNS_MAX];
    size_t got[COLUMNS_MAX];
    int is_over[COLUMNS_MAX];
    Bind bind[COLUMNS_MAX];
    Given given[PARAMETERS_MAX];
    SQLULEN rows, *fetched, bind_type;
    SQLUSMALLINT *status;
    char descriptor[64];
} Stmt;

static void say(const char *format, ...) {
    FILE *log = fopen(FOLDER "/log", "a");
    if (!log) return;
    va_list list;
    va_start(list, format);
    vfprintf(log, format, list);
    va_end(list);
    fclose(log);
}

static SQLRETURN fail(void *handle, const char *state, int native, const char *text) {
    Diag *diag = handle;
    diag->is_set = 1;
    diag->native = native;
    snprintf(diag->state, 6, "%s", state);
    snprintf(diag->text, sizeof diag->text, "[Oracle][ODBC][Ora]%s", text);
    say("error %s %d %s\n", state, native, text);
    return SQL_ERROR;
}

/* Reads "SQLSTATE NUMBER TEXT". */
static SQLRETURN fail_as(void *handle, const char *line) {
    char state[6] = "HY000";
    int native = 0, at = 0;
    sscanf(line, "%5s %d %n", state, &native, &at);
    return fail(handle, state, native, line + at);
}

static char *file(const char *name) {
    char path[1000];
    snprintf(path, sizeof path, "%s/%s", FOLDER, name);
    FILE *in = fopen(path, "r");
    if (!in) return strdup("");
    char *text = NULL;
    size_t size = 0;
    if (getdelim(&text, &size, '\0', in) < 0) text = strdup("");
    fclose(in);
    return text;
}

/* Connections */

API SQLAllocHandle(SQLSMALLINT kind, SQLHANDLE parent, SQLHANDLE *out) {
    if (kind == SQL_HANDLE_ENV) *out = calloc(1, sizeof(Env));
    else if (kind == SQL_HANDLE_DBC) *out = calloc(1, sizeof(Dbc));
    else if (kind == SQL_HANDLE_STMT) {
        Stmt *stmt = calloc(1, sizeof *stmt);
        stmt->rows = 1;
        *out = stmt;
    } else return SQL_ERROR;
    return SQL_SUCCESS;
}
API SQLFreeHandle(SQLSMALLINT kind, SQLHANDLE handle) { free(handle); return SQL_SUCCESS; }
API SQLSetEnvAttr(SQLHENV env, SQLINTEGER what, SQLPOINTER value, SQLINTEGER length) { return SQL_SUCCESS; }

/* Returns the value of a keyword; in braces }} is one. */
static char *keyword(const char *string, const char *wanted) {
    char *out = calloc(1, strlen(string) + 1), *to = out;
    for (const char *at = string; *at;) {
        size_t length = strcspn(at, "=");
        int is_it = length == strlen(wanted) && !strncasecmp(at, wanted, length);
        at += length + (at[length] == '=');
        int is_braced = *at == '{';
        at += is_braced;
        for (; *at && (is_braced || *at != ';'); at++) {
            if (is_braced && *at == '}' && *++at != '}') break;
            if (is_it) *to++ = *at;
        }
        at += *at == ';';
        if (is_it) break;
    }
    return out;
}

API SQLDriverConnect(SQLHDBC dbc, SQLHWND window, SQLCHAR *in, SQLSMALLINT in_length, SQLCHAR *out, SQLSMALLINT room, SQLSMALLINT *length, SQLUSMALLINT completion) {
    char *string = in_length == SQL_NTS ? strdup((char *)in) : strndup((char *)in, in_length);
    char *service = keyword(string, "DBQ"), *user = keyword(string, "UID"), *password = keyword(string, "PWD"), *wanted = file("login");
    say("connect DBQ=%s UID=%s\n", service, user);
    if (!*service) return fail(dbc, "08001", 12162, "ORA-12162: TNS:net service name is incorrectly specified");
    if (strstr(service, "/down")) return fail(dbc, "08001", 12541, "ORA-12541: TNS:no listener");
    if (strstr(service, "/nowhere")) return fail(dbc, "08001", 12514, "ORA-12514: TNS:listener does not currently know of service requested");
    while (strstr(service, "/hang")) sleep(1000);
    if (strcmp(password, wanted)) return fail(dbc, "28000", 1017, "ORA-01017: invalid username/password; logon denied");
    if (out && room) snprintf((char *)out, room, "%s", string);
    if (length) *length = strlen(string);
    return SQL_SUCCESS;
}
API SQLDisconnect(SQLHDBC dbc) { return SQL_SUCCESS; }
API SQLSetConnectAttr(SQLHDBC dbc, SQLINTEGER what, SQLPOINTER value, SQLINTEGER length) {
    say("connection attribute %d=%ld\n", what, (long)value);
    return what == SQL_ATTR_LOGIN_TIMEOUT ? fail(dbc, "HYC00", 0, "Optional feature not implemented.") : SQL_SUCCESS;
}
API SQLGetConnectAttr(SQLHDBC dbc, SQLINTEGER what, SQLPOINTER value, SQLINTEGER room, SQLINTEGER *length) {
    if (value) *(SQLUINTEGER *)value = what == SQL_ATTR_AUTOCOMMIT;
    return SQL_SUCCESS;
}
API SQLEndTran(SQLSMALLINT kind, SQLHANDLE handle, SQLSMALLINT how) { say("end %s\n", how ? "rollback" : "commit"); return SQL_SUCCESS; }

API SQLGetInfo(SQLHDBC dbc, SQLUSMALLINT what, SQLPOINTER value, SQLSMALLINT room, SQLSMALLINT *length) {
    const char *text = "";
    switch (what) {
    case SQL_DBMS_NAME: text = "Oracle"; break;
    case SQL_DBMS_VER: text = "19.00.0000 (counterpart of the tests)"; break;
    case SQL_DRIVER_NAME: text = "libsqora.so"; break;
    case SQL_DRIVER_VER: text = "19.00.0000"; break;
    case SQL_DRIVER_ODBC_VER: text = "03.52"; break;
    case SQL_IDENTIFIER_QUOTE_CHAR: text = "\""; break;
    case SQL_DATA_SOURCE_READ_ONLY: case SQL_CATALOG_NAME: text = "N"; break;
    case SQL_GETDATA_EXTENSIONS: *(SQLUINTEGER *)value = SQL_GD_ANY_COLUMN | SQL_GD_ANY_ORDER; return SQL_SUCCESS;
    case SQL_TXN_CAPABLE: *(SQLUSMALLINT *)value = SQL_TC_DML; return SQL_SUCCESS;
    case SQL_CURSOR_COMMIT_BEHAVIOR: case SQL_CURSOR_ROLLBACK_BEHAVIOR: *(SQLUSMALLINT *)value = SQL_CB_CLOSE; return SQL_SUCCESS;
    default: if (value && room >= 4) memset(value, 0, 4); return SQL_SUCCESS;
    }
    if (value && room > 0) snprintf(value, room, "%s", text);
    if (length) *length = strlen(text);
    return SQL_SUCCESS;
}
API SQLGetFunctions(SQLHDBC dbc, SQLUSMALLINT what, SQLUSMALLINT *out) {
    if (what == SQL_API_ODBC3_ALL_FUNCTIONS) memset(out, 0xff, SQL_API_ODBC3_ALL_FUNCTIONS_SIZE * 2);
    else if (what == 0) memset(out, 1, 200);
    else *out = 1;
    return SQL_SUCCESS;
}

/* Statements */

API SQLSetStmtAttr(SQLHSTMT handle, SQLINTEGER what, SQLPOINTER value, SQLINTEGER length) {
    Stmt *stmt = handle;
    if (what == SQL_ATTR_ROW_ARRAY_SIZE) stmt->rows = (SQLULEN)value;
    if (what == SQL_ATTR_ROWS_FETCHED_PTR) stmt->fetched = value;
    if (what == SQL_ATTR_ROW_STATUS_PTR) stmt->status = value;
    if (what == SQL_ATTR_ROW_BIND_TYPE) stmt->bind_type = (SQLULEN)value;
    return SQL_SUCCESS;
}
API SQLGetStmtAttr(SQLHSTMT handle, SQLINTEGER what, SQLPOINTER value, SQLINTEGER room, SQLINTEGER *length) {
    Stmt *stmt = handle;
    if (what >= SQL_ATTR_APP_ROW_DESC && what <= SQL_ATTR_IMP_PARAM_DESC) *(void **)value = stmt->descriptor;
    else *(SQLULEN *)value = what == SQL_ATTR_ROW_ARRAY_SIZE ? stmt->rows : 0;
    return SQL_SUCCESS;
}
API SQLPrepare(SQLHSTMT handle, SQLCHAR *sql, SQLINTEGER length) {
    Stmt *stmt = handle;
    stmt->sql = length == SQL_NTS ? strdup((char *)sql) : strndup((char *)sql, length);
    return SQL_SUCCESS;
}

/* Whether all texts of a block's first line occur in the statement. */
static int is_of(char *line, const char *sql) {
    char *texts = strdup(line), *rest = texts, *text;
    while ((text = rest)) {
        char *end = strstr(text, " & ");
        rest = end ? end + 3 : NULL;
        if (end) *end = 0;
        if (!strstr(sql, text)) return 0;
    }
    return 1;
}

/* Finds the answer to the statement, and its columns. */
static SQLRETURN answer(Stmt *stmt) {
    char *rest = file("answers"), *line;
    while ((line = strsep(&rest, "\n"))) {
        if ((*line != '?' && *line != '!') || line[1] != ' ' || !is_of(line + 2, stmt->sql)) continue;
        if (*line == '!') return fail_as(stmt, strsep(&rest, "\n"));
        char *columns = strsep(&rest, "\n"), *column;
        stmt->columns = 0;
        while ((column = strsep(&columns, "|"))) {
            char *blank = strchr(column, ' ');
            *blank = 0;
            stmt->name[stmt->columns] = column;
            stmt->type[stmt->columns++] = blank + 1;
        }
        stmt->next = strstr(stmt->sql, "1 = 0") ? NULL : rest;
        stmt->repeat = stmt->number = 0;
        stmt->is_open = 1;
        return SQL_SUCCESS;
    }
    return fail(stmt, "42S02", 942, "ORA-00942: table or view does not exist");
}

static SQLRETURN refused(Stmt *stmt) {
    const char *sql = stmt->sql;
    size_t end = strlen(sql);
    while (end && (sql[end - 1] == ' ' || sql[end - 1] == '\n')) end--;
    int is_odd = end && sql[end - 1] == ';', is_quoted = 0;
    for (const char *at = sql; *at; at++) {
        is_quoted ^= *at == '\'';
        is_odd |= !is_quoted && (*at == '`' || *at == '[');
    }
    if (is_odd) return fail(stmt, "HY000", 911, "ORA-00911: invalid character");
    if (strcasestr(sql, " limit ") || strcasestr(sql, ") as etlsched")) return fail(stmt, "HY000", 933, "ORA-00933: SQL command not properly ended");
    return SQL_SUCCESS;
}

API SQLExecute(SQLHSTMT handle) {
    Stmt *stmt = handle;
    say("statement %s\n", stmt->sql);
    for (int place = 0; place < PARAMETERS_MAX; place++) {
        Given *given = &stmt->given[place];
        if (!given->at) continue;
        if (given->ind && *given->ind == SQL_NULL_DATA) say("  parameter %d NULL\n", place + 1);
        else if (given->type == SQL_C_CHAR) say("  parameter %d %.*s\n", place + 1, given->ind && *given->ind >= 0 ? (int)*given->ind : 4000, (char *)given->at);
        else if (given->type == SQL_C_WCHAR) {
            say("  parameter %d ", place + 1);
            for (SQLLEN at = 0; given->ind && at < *given->ind / 2; at++) say("%c", ((SQLWCHAR *)given->at)[at]);
            say("\n");
        } else say("  parameter %d of C type %d\n", place + 1, given->type);
    }
    stmt->columns = stmt->is_open = 0;
    if (refused(stmt) == SQL_ERROR) return SQL_ERROR;
    if (strncasecmp(stmt->sql, "SELECT", 6)) return SQL_SUCCESS;
    return answer(stmt);
}
API SQLExecDirect(SQLHSTMT handle, SQLCHAR *sql, SQLINTEGER length) { SQLPrepare(handle, sql, length); return SQLExecute(handle); }
API SQLNumResultCols(SQLHSTMT handle, SQLSMALLINT *count) {
    Stmt *stmt = handle;
    if (!stmt->columns && stmt->sql && !strncasecmp(stmt->sql, "SELECT", 6)) answer(stmt);
    *count = stmt->columns;
    return SQL_SUCCESS;
}
API SQLNumParams(SQLHSTMT handle, SQLSMALLINT *count) {
    *count = 0;
    for (char *at = ((Stmt *)handle)->sql; at && *at; at++) *count += *at == '?';
    return SQL_SUCCESS;
}
API SQLBindParameter(SQLHSTMT handle, SQLUSMALLINT number, SQLSMALLINT way, SQLSMALLINT c_type, SQLSMALLINT type, SQLULEN size, SQLSMALLINT digits, SQLPOINTER at, SQLLEN room, SQLLEN *ind) {
    if (c_type == SQL_C_SBIGINT || c_type == SQL_C_UBIGINT) return fail(handle, "HYC00", 0, "Optional feature not implemented (64-bit integers)");
    ((Stmt *)handle)->given[number - 1] = (Given){c_type, at, ind};
    return SQL_SUCCESS;
}

/* Columns, as the driver describes them: type, size, digits. */
static void described(const char *type, SQLSMALLINT *code, SQLULEN *size, SQLSMALLINT *digits) {
    int first = 0, second = 0;
    const char *opening = strchr(type, '(');
    if (opening) sscanf(opening, "(%d,%d", &first, &second);
    *digits = 0;
    *size = first;
#define IS(name) (!strncmp(type, name, strlen(name)))
    if (IS("NUMBER")) { *code = first ? SQL_DECIMAL : SQL_FLOAT; *size = first ? first : 53; *digits = second; }
    else if (IS("DATE")) { *code = SQL_TYPE_TIMESTAMP; *size = 19; }
    else if (IS("TIMESTAMP")) { *code = SQL_TYPE_TIMESTAMP; *digits = opening ? first : 6; *size = 20 + *digits; }
    else if (IS("BINARY_DOUBLE") || IS("FLOAT")) { *code = SQL_DOUBLE; *size = 53; }
    else if (IS("BINARY_FLOAT")) { *code = SQL_REAL; *size = 24; }
    else if (IS("CLOB") || IS("LONG")) { *code = SQL_LONGVARCHAR; *size = 2147483647; }
    else if (IS("NCLOB")) { *code = SQL_WLONGVARCHAR; *size = 1073741823; }
    else if (IS("BLOB")) { *code = SQL_LONGVARBINARY; *size = 2147483647; }
    else if (IS("RAW")) *code = SQL_VARBINARY;
    else if (IS("NVARCHAR2")) *code = SQL_WVARCHAR;
    else if (IS("NCHAR")) *code = SQL_WCHAR;
    else if (IS("CHAR")) *code = SQL_CHAR;
    else { *code = SQL_VARCHAR; *size = first ? first : 4000; }
#undef IS
}
API SQLDescribeCol(SQLHSTMT handle, SQLUSMALLINT number, SQLCHAR *name, SQLSMALLINT room, SQLSMALLINT *length, SQLSMALLINT *type, SQLULEN *size, SQLSMALLINT *digits, SQLSMALLINT *nullable) {
    Stmt *stmt = handle;
    if (number < 1 || number > stmt->columns) return fail(handle, "07009", 0, "Invalid descriptor index");
    described(stmt->type[number - 1], type, size, digits);
    if (name && room > 0) snprintf((char *)name, room, "%s", stmt->name[number - 1]);
    if (length) *length = strlen(stmt->name[number - 1]);
    if (nullable) *nullable = 1;
    return SQL_SUCCESS;
}
API SQLColAttribute(SQLHSTMT handle, SQLUSMALLINT number, SQLUSMALLINT what, SQLPOINTER out, SQLSMALLINT room, SQLSMALLINT *length, SQLLEN *value) {
    Stmt *stmt = handle;
    if (number < 1 || number > stmt->columns) return fail(handle, "07009", 0, "Invalid descriptor index");
    /* The bare name of the type: zones and sizes are left out. */
    char name[40] = "";
    sscanf(stmt->type[number - 1], "%39[A-Z_0-9]", name);
    if (what == SQL_DESC_TYPE_NAME) {
        if (out && room > 0) snprintf(out, room, "%s", name);
        if (length) *length = strlen(name);
    } else if (value) *value = 0;
    return SQL_SUCCESS;
}
API SQLBindCol(SQLHSTMT handle, SQLUSMALLINT number, SQLSMALLINT type, SQLPOINTER at, SQLLEN room, SQLLEN *ind) {
    Stmt *stmt = handle;
    if (type == SQL_C_SBIGINT || type == SQL_C_UBIGINT) return fail(handle, "HYC00", 0, "Optional feature not implemented (64-bit integers)");
    stmt->bind[number - 1] = (Bind){type, at, room, ind};
    return SQL_SUCCESS;
}

/* Values */

/* Returns a cell's text: "*N TEXT" is it N times. */
static char *unfolded(char *cell) {
    long times;
    int at;
    if (!cell || sscanf(cell, "*%ld %n", &times, &at) != 1) return cell;
    size_t length = strlen(cell + at);
    char *out = malloc(times * length + 1);
    for (long time = 0; time < times; time++) memcpy(out + time * length, cell + at, length);
    out[times * length] = 0;
    return out;
}

static int nibble(char digit) { return digit <= '9' ? digit - '0' : (digit | 32) - 'a' + 10; }

static int digit(char sign) { return sign <= '9' ? sign - '0' : (sign | 32) - 'a' + 10; }

/* Converts a text into bytes of a C type; returns how many. */
static size_t converted(const char *text, SQLSMALLINT type, char **out) {
    size_t length = strlen(text), count = 0;
    *out = malloc(length * 2 + 2);
    if (type == SQL_C_BINARY) {
        for (; text[0] && text[1]; text += 2) (*out)[count++] = (char)(nibble(text[0]) << 4 | nibble(text[1]));
        return count;
    }
    if (type == SQL_C_CHAR) { memcpy(*out, text, length); return length; }
    SQLWCHAR *wide = (SQLWCHAR *)*out;
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        unsigned sign = *at < 0x80 ? *at : *at < 0xe0 ? *at & 31 : *at < 0xf0 ? *at & 15 : *at & 7;
        int more = *at < 0x80 ? 0 : *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : 3;
        for (at++; more--; at++) sign = sign << 6 | (*at & 63);
        if (sign < 0x10000) wide[count++] = sign;
        else { wide[count++] = 0xd800 + ((sign - 0x10000) >> 10); wide[count++] = 0xdc00 + ((sign - 0x10000) & 0x3ff); }
    }
    return count * 2;
}

static SQLRETURN moment(const char *text, SQLPOINTER at, SQLLEN *ind) {
    SQL_TIMESTAMP_STRUCT out = {0};
    int year, month, day, hour = 0, minute = 0, second = 0, end = 0;
    sscanf(text, "%d-%d-%d %d:%d:%d%n", &year, &month, &day, &hour, &minute, &second, &end);
    unsigned fraction = 0;
    if (end && text[end] == '.') for (int place = 0, here = end + 1; place < 9; place++) fraction = fraction * 10 + (text[here] >= '0' && text[here] <= '9' ? text[here++] - '0' : 0);
    out = (SQL_TIMESTAMP_STRUCT){year, month, day, hour, minute, second, fraction};
    memcpy(at, &out, sizeof out);
    if (ind) *ind = sizeof out;
    return SQL_SUCCESS;
}

/* Hands a value over from a place on; what has no room is told, and how long it is. */
static SQLRETURN put(Stmt *stmt, int column, SQLSMALLINT type, char *at, SQLLEN room, SQLLEN *ind, size_t *from) {
    char *text = stmt->cell[column];
    if (!text) {
        if (!ind) return fail(stmt, "22002", 0, "Indicator variable required");
        *ind = SQL_NULL_DATA;
        return SQL_SUCCESS;
    }
    if (type == SQL_C_TYPE_TIMESTAMP) return moment(text, at, ind);
    if (type == SQL_C_DOUBLE) { *(double *)at = atof(text); if (ind) *ind = 8; return SQL_SUCCESS; }
    if (type == SQL_C_FLOAT) { *(float *)at = atof(text); if (ind) *ind = 4; return SQL_SUCCESS; }
    if (type != SQL_C_CHAR && type != SQL_C_WCHAR && type != SQL_C_BINARY) return fail(stmt, "HY004", 0, "Invalid SQL data type");
    char *bytes;
    size_t length = converted(text, type, &bytes) - *from, mark = type == SQL_C_CHAR ? 1 : type == SQL_C_WCHAR ? 2 : 0;
    size_t usable = room > (SQLLEN)mark ? (room - mark) / (mark == 2 ? 2 : 1) * (mark == 2 ? 2 : 1) : 0, part = length < usable ? length : usable;
    memcpy(at, bytes + *from, part);
    memset(at + part, 0, mark);
    free(bytes);
    if (ind) *ind = length;
    if (part == length) return SQL_SUCCESS;
    *from += part;
    stmt->diag = (Diag){1, 0, "01004", "[Oracle][ODBC]String data, right truncated."};
    return SQL_SUCCESS_WITH_INFO;
}

static SQLLEN width(Bind *bind) {
    switch (bind->type) {
    case SQL_C_DOUBLE: return 8;
    case SQL_C_FLOAT: return 4;
    case SQL_C_TYPE_TIMESTAMP: return sizeof(SQL_TIMESTAMP_STRUCT);
    default: return bind->room;
    }
}

/* Takes the next row; SQL_NO_DATA at the end. */
static SQLRETURN row(Stmt *stmt) {
    if (!stmt->repeat) {
        char *line = strsep(&stmt->next, "\n");
        int at = 0;
        if (!line || !*line || (*line == '?' && line[1] == ' ')) { stmt->next = NULL; return SQL_NO_DATA; }
        if (*line == '!') return fail_as(stmt, line + 2);
        if (*line == '~') { usleep(atol(line + 2) * 1000); return row(stmt); }
        stmt->repeat = 1;
        if (sscanf(line, "x %ld %n", &stmt->repeat, &at) == 1) line += at;
        stmt->repeated = line;
    }
    stmt->repeat--;
    stmt->number++;
    char *rest = strdup(stmt->repeated);
    for (int column = 0; column < stmt->columns; column++) {
        char *cell = strsep(&rest, "|"), number[24];
        snprintf(number, sizeof number, "%ld", stmt->number);
        if (cell && !strcmp(cell, "#")) cell = strdup(number);
        stmt->cell[column] = cell && *cell ? unfolded(cell) : NULL;
        stmt->got[column] = stmt->is_over[column] = 0;
    }
    return SQL_SUCCESS;
}

API SQLFetch(SQLHSTMT handle) {
    Stmt *stmt = handle;
    if (!stmt->is_open) return fail(stmt, "24000", 0, "Invalid cursor state");
    SQLULEN got = 0;
    SQLRETURN all = SQL_SUCCESS;
    if (stmt->fetched) *stmt->fetched = 0;
    for (; got < stmt->rows; got++) {
        SQLRETURN code = row(stmt);
        if (code == SQL_ERROR) return SQL_ERROR;
        if (code == SQL_NO_DATA) break;
        code = SQL_SUCCESS;
        for (int column = 0; column < stmt->columns; column++) {
            Bind *bind = &stmt->bind[column];
            if (!bind->at) continue;
            size_t shift = stmt->bind_type ? got * stmt->bind_type : got * width(bind), from = 0;
            SQLLEN *ind = bind->ind ? (SQLLEN *)((char *)bind->ind + (stmt->bind_type ? got * stmt->bind_type : got * sizeof(SQLLEN))) : NULL;
            SQLRETURN one = put(stmt, column, bind->type, (char *)bind->at + shift, bind->room, ind, &from);
            if (one == SQL_ERROR) return SQL_ERROR;
            if (one) all = code = one;
        }
        if (stmt->status) stmt->status[got] = code ? SQL_ROW_SUCCESS_WITH_INFO : SQL_ROW_SUCCESS;
    }
    for (SQLULEN at = got; stmt->status && at < stmt->rows; at++) stmt->status[at] = SQL_ROW_NOROW;
    if (stmt->fetched) *stmt->fetched = got;
    return got ? all : SQL_NO_DATA;
}
API SQLFetchScroll(SQLHSTMT handle, SQLSMALLINT way, SQLLEN count) { return way == SQL_FETCH_NEXT ? SQLFetch(handle) : fail(handle, "HYC00", 0, "forward only"); }
API SQLGetData(SQLHSTMT handle, SQLUSMALLINT number, SQLSMALLINT type, SQLPOINTER at, SQLLEN room, SQLLEN *ind) {
    Stmt *stmt = handle;
    int column = number - 1;
    if (type == SQL_C_SBIGINT || type == SQL_C_UBIGINT) return fail(handle, "HYC00", 0, "Optional feature not implemented (64-bit integers)");
    if (stmt->is_over[column]) return SQL_NO_DATA;
    SQLRETURN code = put(stmt, column, type, at, room, ind, &stmt->got[column]);
    stmt->is_over[column] = code == SQL_SUCCESS;
    return code;
}

/* Ends, and what is told of errors */

API SQLCancel(SQLHSTMT handle) { say("cancel\n"); return SQL_SUCCESS; }
API SQLCloseCursor(SQLHSTMT handle) { ((Stmt *)handle)->is_open = 0; return SQL_SUCCESS; }
API SQLFreeStmt(SQLHSTMT handle, SQLUSMALLINT what) {
    Stmt *stmt = handle;
    if (what == SQL_UNBIND) memset(stmt->bind, 0, sizeof stmt->bind);
    if (what == SQL_RESET_PARAMS) memset(stmt->given, 0, sizeof stmt->given);
    if (what == SQL_CLOSE) stmt->is_open = 0;
    return SQL_SUCCESS;
}
API SQLMoreResults(SQLHSTMT handle) { ((Stmt *)handle)->is_open = 0; return SQL_NO_DATA; }
API SQLRowCount(SQLHSTMT handle, SQLLEN *count) { *count = -1; return SQL_SUCCESS; }
API SQLGetDiagRec(SQLSMALLINT kind, SQLHANDLE handle, SQLSMALLINT number, SQLCHAR *state, SQLINTEGER *native, SQLCHAR *text, SQLSMALLINT room, SQLSMALLINT *length) {
    Diag *diag = handle;
    if (!diag->is_set || number > 1) return SQL_NO_DATA;
    if (state) strcpy((char *)state, diag->state);
    if (native) *native = diag->native;
    if (text && room > 0) snprintf((char *)text, room, "%s", diag->text);
    if (length) *length = strlen(diag->text);
    return SQL_SUCCESS;
}
API SQLGetDiagField(SQLSMALLINT kind, SQLHANDLE handle, SQLSMALLINT number, SQLSMALLINT what, SQLPOINTER out, SQLSMALLINT room, SQLSMALLINT *length) {
    Diag *diag = handle;
    if (what == SQL_DIAG_NUMBER) { *(SQLINTEGER *)out = diag->is_set; return SQL_SUCCESS; }
    if (!diag->is_set || number > 1) return SQL_NO_DATA;
    if (what == SQL_DIAG_SQLSTATE && out) { strcpy(out, diag->state); return SQL_SUCCESS; }
    return SQL_NO_DATA;
}
API SQLSetDescField(SQLHDESC handle, SQLSMALLINT record, SQLSMALLINT what, SQLPOINTER value, SQLINTEGER length) { return SQL_SUCCESS; }
API SQLGetDescField(SQLHDESC handle, SQLSMALLINT record, SQLSMALLINT what, SQLPOINTER value, SQLINTEGER room, SQLINTEGER *length) { return SQL_NO_DATA; }
