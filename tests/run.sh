#!/bin/sh
# Installs what the tests need and is missing (Debian packages), then runs all of them. Arguments go to `cargo test`.
set -eu
cd "$(dirname "$0")/.."

missing=
need() { # program, Debian package
    PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need cc gcc
need sqlite3 sqlite3
# Only cron and crontab of a namespace are used, and no daemon is started.
need cron cron
need faketime faketime
need systemd-analyze systemd
need unshare util-linux
need script bsdutils
need prlimit util-linux
need setpriv util-linux
need hostname hostname
need pgbouncer pgbouncer
# The page of `report` is looked at in a browser.
need chromium chromium
[ -n "$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null)" ] || missing="$missing postgresql"
need mariadbd mariadb-server
need mariadb mariadb-client
# Counterparts of SQL Server's protocol and of Oracle's driver, and what reads the first.
need python3 python3
need gcc gcc
# A mail server for notifications; it belongs to Debian's own Python.
/usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || missing="$missing python3-aiosmtpd"
[ -e /usr/include/sql.h ] || missing="$missing unixodbc-dev"
driver() { # ODBC driver's file, Debian package: drivers have no program
    [ -n "$(ls /usr/lib/*/odbc/"$1" /usr/lib64/"$1" 2>/dev/null)" ] || missing="$missing $2"
}
driver psqlodbcw.so odbc-postgresql
driver libmaodbc.so odbc-mariadb
driver libsqlite3odbc.so libsqliteodbc
driver libtdsodbc.so tdsodbc
# Registers drivers in odbcinst.ini as they are installed.
need odbcinst odbcinst

if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "tests/run.sh: these programs are missing, and there is no apt-get to bring them; install:$missing" >&2
        exit 1
    fi
    echo "tests/run.sh: installing$missing" >&2
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    # shellcheck disable=SC2086 # a list of words
    $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

# Tests wait for servers, clocks and limits about as long as they compute.
RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((($(nproc) * 3 + 1) / 2))}
export RUST_TEST_THREADS
exec cargo test --locked "$@"
