#!/bin/sh
# The big campaign: kills, cut connections, concurrent runs, writers and errors, many times what a run of the tests does, and a summary.
# An hour to an hour and a half on two cores (25 minutes of it are kills, for each seed; 25 are cuts). Arguments are the factor (1), and
# then the seeds (1): `tests/soak.sh 0.03 7` takes a quarter of an hour.
set -eu
cd "$(dirname "$0")/.."
factor=${1:-1}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- 1

# Installs what is missing, builds, and runs no test.
tests/run.sh --test it --no-run
scaled() { # how often at factor 1, and at least
    awk "BEGIN { n = int($1 * $factor + 0.5); print (n < $2) ? $2 : n }"
}

folder=$(mktemp -d "${TMPDIR:-/tmp}/etlsched-soak-XXXXXX")
summary=$folder/summary
failed=0
part() { # name, filter of the tests; the environment says how often
    began=$(date +%s)
    if cargo test --locked --test it -- "$2" --nocapture --test-threads 2 >"$folder/$1.log" 2>&1; then result=passed; else
        result=FAILED
        failed=1
    fi
    took=$(($(date +%s) - began))
    count=$(sed -n 's/^test result: [^.]*\. \([0-9]* passed; [0-9]* failed\).*/\1/p' "$folder/$1.log" | tail -1)
    printf '%-24s %-7s %s, %s s\n' "$1" "$result" "$count" "$took" | tee -a "$summary"
    # What the tests say of their rounds.
    grep -oE '(kills::[a-z_:]+, )?seed [0-9]+: Tally.*|[0-9]+ x 100 concurrent runs.*|[a-z]+, [A-Z][a-z]+: [0-9]+ commits were cut.*' \
        "$folder/$1.log" | sed 's/^/    /' | tee -a "$summary" || true
}

for seed in "$@"; do
    ETLSCHED_KILLS=$(scaled 300 3) ETLSCHED_KILLS_SEED=$seed
    export ETLSCHED_KILLS ETLSCHED_KILLS_SEED
    part "kills-seed-$seed" kills::
    unset ETLSCHED_KILLS ETLSCHED_KILLS_SEED
done
ETLSCHED_CONCURRENT_RUNS=$(scaled 20 1)
export ETLSCHED_CONCURRENT_RUNS
part concurrent-runs lease::a_hundred
ETLSCHED_CUTS=$(scaled 60 10)
export ETLSCHED_CUTS
part cuts cuts::
ETLSCHED_CONCURRENT=$(scaled 60 3)
export ETLSCHED_CONCURRENT
part writers concurrent::
part leases-disks-clocks lease::
part limits-of-hangs control::a_source_that_hangs
part faults faults::
part gate gate::
part real-errors retries::

echo
echo "soak of $(date -u +%Y-%m-%d), factor $factor, seeds $*, etlsched $(git rev-parse --short HEAD 2>/dev/null || echo unknown):"
cat "$summary"
echo "logs: $folder"
exit "$failed"
