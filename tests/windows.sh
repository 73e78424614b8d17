#!/bin/bash
# Cross-builds etlsched for Windows with Debian's own Rust and mingw, and runs the sample job under Wine beside the Linux binary:
# the same rows, the same log; Ctrl-C; a killed supervisor; schedules in the Task Scheduler, the gate. No real Windows is involved.
#
# What is missing is installed with apt-get. The build goes to target/windows, about 1 GB and 6 CPU-minutes the first time.
#
#   tests/windows.sh             all of it
#   tests/windows.sh --install   installs what is missing, and ends
#   tests/windows.sh --build     builds, and ends
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(rustc-web cargo-web rust-web-src gcc-mingw-w64-x86-64 wine wine64 sqlite3 jq)
target=x86_64-pc-windows-gnu
wine=/usr/lib/wine/wine64

fail() {
    echo "tests/windows.sh: $*" >&2
    exit 1
}

install_missing() {
    local missing=() package as_root=()
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    command -v apt-get >/dev/null || fail "there is no apt-get to install: ${missing[*]}"
    echo "tests/windows.sh: installing ${missing[*]}" >&2
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# rustup has no standard library for this target here: Debian's cargo builds it from its source.
cross_build() {
    env -u RUSTUP_TOOLCHAIN -u RUSTFLAGS PATH=/usr/bin:/bin RUSTC_BOOTSTRAP=1 \
        CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc \
        CC_x86_64_pc_windows_gnu=x86_64-w64-mingw32-gcc \
        CARGO_TARGET_DIR=target/windows CARGO_PROFILE_DEV_DEBUG=false \
        /usr/bin/cargo build --locked -Zbuild-std=std,panic_abort --target $target
}

case ${1:-} in
--install)
    install_missing
    exit
    ;;
--build)
    cross_build
    exit
    ;;
'') ;;
*) fail "$1 is no option" ;;
esac
install_missing
cross_build
cargo build --locked

work=$(mktemp -d)
export WINEPREFIX=$work/prefix WINEDEBUG=-all
trap 'WINEPREFIX=$work/prefix /usr/lib/wine/wineserver64 -k 2>/dev/null || true; rm -rf "$work"' EXIT

# Wine 8 has no bcryptprimitives.dll, which Rust's standard library needs for random numbers; without it a program ends with 53.
mkdir "$work/bin"
cp target/windows/$target/debug/etlsched.exe "$work/bin/"
cat >"$work/prng.c" <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) { return SystemFunction036(data, (ULONG)length); }
C
x86_64-w64-mingw32-gcc -shared -o "$work/bin/bcryptprimitives.dll" "$work/prng.c" -ladvapi32
x86_64-w64-mingw32-gcc -O1 -o "$work/bin/strike.exe" tests/windows/strike.c

on_wine() {
    timeout 300 "$wine" "$@"
}

echo "== etlsched --version under Wine" >&2
version=$(on_wine "$work/bin/etlsched.exe" --version | tr -d '\r')
[ "$version" = "$(target/debug/etlsched --version)" ] || fail "it prints $version"

# sample FOLDER: a workspace with the sample job.
sample() {
    mkdir -p "$1/jobs"
    cp jobs/flights.yaml "$1/jobs/"
    cp -r jobs/data "$1/jobs/"
}

tables="airlines airports planes weather flights"
# contents FOLDER: every row and column of the five tables, and how they are declared.
contents() {
    local table
    for table in $tables; do
        sqlite3 "$1/.etlsched/warehouse.db" "SELECT sql FROM sqlite_schema WHERE name = '$table'" \
            "SELECT count(*) FROM \"$table\"" "SELECT * FROM \"$table\" ORDER BY rowid"
    done
}

# log FOLDER COMMAND...: the log of every run, without what differs from run to run.
log() {
    (cd "$1" && "${@:2}" logs flights --output json) |
        jq -S '[.logs[] | {status, triggered_by, exit_code, total_records_processed, total_records_added, total_records_rejected,
            processed: (.data_sources_processed | sort), failed: .data_sources_failed, skipped: .data_sources_skipped}]'
}

echo "== the sample job on Linux and under Wine" >&2
linux=$work/linux windows=$work/windows
sample "$linux"
sample "$windows"
native=$PWD/target/debug/etlsched
(cd "$linux" && "$native" run flights)
(cd "$windows" && on_wine "$work/bin/etlsched.exe" run flights)
contents "$linux" >"$work/linux.rows"
contents "$windows" >"$work/windows.rows"
cmp "$work/linux.rows" "$work/windows.rows" || fail "the tables differ"
diff <(log "$linux" "$native") <(log "$windows" on_wine "$work/bin/etlsched.exe") || fail "the logs differ"
counts=$(for table in $tables; do sqlite3 "$windows/.etlsched/warehouse.db" "SELECT count(*) FROM $table"; done | xargs)
[ "$counts" = "16 1458 3322 26115 27004" ] || fail "rows: $counts"

echo "== entries made on Linux and under Wine" >&2
# Rules of time zones that both have: those that the program brings.
export TZDIR=/nonexistent
for format in windows systemd launchd; do
    case $format in
    windows) place=(--program 'C:\R&D\etlsched.exe' --workspace 'C:\my etl' --user 'ACME\etl') ;;
    *) place=(--program /usr/bin/etlsched --workspace '/srv/my etl' --host-zone Europe/Berlin) ;;
    esac
    (cd "$linux" && "$native" schedule export --format $format "${place[@]}") >"$work/linux.entries"
    (cd "$windows" && on_wine "$work/bin/etlsched.exe" schedule export --format $format "${place[@]}") >"$work/windows.entries"
    [ -s "$work/linux.entries" ] || fail "no $format entries"
    cmp "$work/linux.entries" "$work/windows.entries" || fail "the $format entries differ"
done
unset TZDIR
# Without more they are for this machine, whose paths are those of Windows.
(cd "$windows" && on_wine "$work/bin/etlsched.exe" schedule export --format windows | iconv -f utf-16 | grep -q '<Command>[A-Z]:\\') ||
    fail "the task of this machine doesn't start its program"

# A job that takes long enough to be struck: the flights of January twenty times over.
long() {
    local job=$1/jobs/long.yaml data=$1/jobs/data/long.csv
    zcat jobs/data/flights-2013-01.csv.gz | sed -n 1p >"$data"
    for _ in $(seq 20); do zcat jobs/data/flights-2013-01.csv.gz | tail -n +2; done >>"$data"
    printf 'data_sources:\n  - path: jobs/data/long.csv\n    null_values: ["NA", ""]\n' >"$job"
}
long "$windows"
statuses() {
    (cd "$windows" && on_wine "$work/bin/etlsched.exe" logs long --output json) | jq -r '[.logs[].status] | join(" ")'
}

echo "== Ctrl-C under Wine" >&2
code=0
(cd "$windows" && on_wine "$work/bin/strike.exe" ctrl-c 1000 "$work/bin/etlsched.exe" run long) || code=$?
[ $code = 130 ] || fail "after Ctrl-C it ends with $code, not 130"
[ "$(statuses)" = "cancelled" ] || fail "after Ctrl-C the log says $(statuses)"

echo "== a killed supervisor under Wine" >&2
(cd "$windows" && on_wine "$work/bin/strike.exe" terminate 1000 "$work/bin/etlsched.exe" run long) || fail "its workers live on"
[ "$(statuses)" = "failed cancelled" ] || fail "after the kill the log says $(statuses)"
(cd "$windows" && on_wine "$work/bin/etlsched.exe" run long) || fail "the run after the kill failed"
rows=$(sqlite3 "$windows/.etlsched/warehouse.db" "SELECT count(*) FROM long")
[ "$rows" = $((20 * 27004)) ] || fail "the run after the kill loaded $rows rows"
left=$(sqlite3 "$windows/.etlsched/warehouse.db" "SELECT group_concat(name) FROM sqlite_schema WHERE name GLOB '_etlsched_*_*_*'")
[ -z "$left" ] || fail "staging is left: $left"
echo "== schedules under Wine" >&2
# Wine's schtasks takes and deletes tasks and lists none.
planned=$work/planned tasks=$WINEPREFIX/drive_c/windows/system32/tasks
mkdir -p "$planned/jobs" "$planned/data"
printf 'id\n1\n' >"$planned/data/rows.csv"
for job in daily weekly; do
    printf 'schedule_type: %s\ntimezone: Europe/Berlin\nhour: 2\nminute: 30\ndata_sources:\n  - path: data/rows.csv\n    target: %s\n' \
        $job $job >"$planned/jobs/$job.yaml"
done
schedule() {
    (cd "$planned" && on_wine "$work/bin/etlsched.exe" schedule "$@") | tr -d '\r'
}
said=$(schedule install --yes --quiet && schedule install --yes)
[[ $said == "2 jobs already in the Task Scheduler, folder "* ]] || fail "after install it says: $said"
found=$(cd "$tasks" && find . -type f | sed 's/-[0-9a-f]*/-DIGEST/' | sort | xargs)
[ "$found" = "./etlsched-DIGEST/daily ./etlsched-DIGEST/weekly" ] || fail "Wine holds the tasks: $found"
schedule status >/dev/null || fail "after install, status ends with $?"
rm "$planned/jobs/weekly.yaml"
code=0
schedule status >/dev/null || code=$?
[ $code = 10 ] || fail "with an orphan, status ends with $code, not 10"
schedule sync --yes --quiet >/dev/null
found=$(cd "$tasks" && find . -type f | sed 's/-[0-9a-f]*/-DIGEST/' | xargs)
[ "$found" = "./etlsched-DIGEST/daily" ] || fail "after sync Wine holds the tasks: $found"

echo "== the gate under Wine" >&2
for now in 2030-03-31T00:59:00Z 2030-03-31T01:00:30Z 2030-03-31T01:01:30Z; do
    (cd "$planned" && ETLSCHED_NOW=$now on_wine "$work/bin/etlsched.exe" run daily --scheduled)
done
slots=$(sqlite3 "$planned/.etlsched/state.db" \
    "SELECT strftime('%Y-%m-%dT%H:%MZ', due_at) FROM runs JOIN slots ON slots.run_id = runs.id WHERE runs.status = 'success' ORDER BY 1" | xargs)
# The day before is caught up; 02:30 doesn't exist on the 31st, so that day's slot is at 03:00, and is run once.
[ "$slots" = "2030-03-30T01:30Z 2030-03-31T01:00Z" ] || fail "the gate ran: $slots"
schedule remove --yes --quiet >/dev/null
found=$(cd "$tasks" && find . -type f | xargs)
[ -z "$found" ] || fail "after remove Wine holds the tasks: $found"

echo "tests/windows.sh: the same rows, the same log and the same entries; tasks and the gate; Ctrl-C and a killed supervisor left nothing behind" >&2
