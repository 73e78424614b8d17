#!/bin/sh
# The big campaign: kills, concurrent runs, hosts, hangs, faults at every system call, cut connections, writers and errors, many times
# what a run of the tests does, and a summary.
#
#   tests/soak.sh                        every part: about a quarter of an hour on two quiet cores, after the build
#   tests/soak.sh kills runs             some parts: kills runs hosts hangs calls cuts writers leases faults gate errors
#   tests/soak.sh --factor 0.02 kills    fewer rounds
#   tests/soak.sh --seeds "1 7"          the kills with more than one seed
#   tests/soak.sh --build                builds and ends; the next call finds everything built
#
# The program and its tests are built once, at the beginning, by the profile `profiling` (SOAK_PROFILE=dev: as `cargo test` builds them): a
# debug build takes three times as long for each kill. Nothing is built after that. SOAK_TESTS names tests that are built already.
set -eu
cd "$(dirname "$0")/.."
here=$(pwd)
all="kills runs hosts hangs calls cuts writers leases faults gate errors"
factor=1 seeds=1 parts= build_only=
while [ $# -gt 0 ]; do
    case $1 in
    --factor) factor=$2 && shift 2 ;;
    --seeds) seeds=$2 && shift 2 ;;
    --build) build_only=yes && shift ;;
    -*) echo "tests/soak.sh: $1 is no option" >&2 && exit 2 ;;
    *)
        case " $all " in
        *" $1 "*) parts="$parts $1" ;;
        *) echo "tests/soak.sh: $1 is no part; they are: $all" >&2 && exit 2 ;;
        esac
        shift
        ;;
    esac
done
parts=${parts:-$all}
profile=${SOAK_PROFILE:-profiling}

built=${SOAK_TESTS:-}
if [ -z "$built" ]; then
    # Installs what is missing, builds, and runs no test; cargo's last word names the tests' file.
    tests/run.sh --profile "$profile" --test it --no-run
    built=$(cargo test --locked --profile "$profile" --test it --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\)).*/\1/p' | tail -1)
fi
case $built in
/*) ;;
*) built=$here/$built ;;
esac
[ -x "$built" ] || { echo "tests/soak.sh: the tests were not built" >&2 && exit 1; }
[ -z "$build_only" ] || exit 0
version=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)

folder=$(mktemp -d "${TMPDIR:-/tmp}/etlsched-soak-XXXXXX")
chmod 755 "$folder"
summary=$folder/summary lines=$folder/lines
: >"$summary" && : >"$lines"
failed=0 began_all=$(date +%s)

scaled() { # how often at factor 1, and at least
    awk "BEGIN { n = int($1 * $factor + 0.5); print (n < $2) ? $2 : n }"
}
part() { # name, filter of the tests, variables that say how often
    name=$1 filter=$2 began=$(date +%s)
    shift 2
    if env "$@" "$built" "$filter" --nocapture --test-threads 2 >"$folder/$name.log" 2>&1; then result=passed; else
        result=FAILED
        failed=1
    fi
    took=$(($(date +%s) - began))
    count=$(sed -n 's/^test result: [^.]*\. \([0-9]* passed; [0-9]* failed\).*/\1/p' "$folder/$name.log" | tail -1)
    printf '%-20s %-7s %s, %s s\n' "$name" "$result" "${count:-no result}" "$took" | tee -a "$summary"
    # What the tests say of their rounds; libtest may have begun the line.
    grep -oE '(kills: destination=|hangs: kind=|calls: |two hosts, |[0-9]+ x 100 concurrent runs).*|[a-z]+, [A-Z][a-z]+: [0-9]+ commits were cut.*' \
        "$folder/$name.log" | tee -a "$lines" | sed 's/^/    /' || true
}

for one in $parts; do
    case $one in
    kills)
        for seed in $seeds; do
            part "kills-seed-$seed" kills:: "ETLSCHED_KILLS=$(scaled 300 3)" "ETLSCHED_KILLS_SEED=$seed"
        done
        ;;
    runs) part runs lease::a_hundred "ETLSCHED_CONCURRENT_RUNS=$(scaled 20 1)" ;;
    hosts) part hosts shared_state::two_hosts "ETLSCHED_HOST_SLOTS=$(scaled 199 3)" ;;
    hangs) part hangs hangs:: "ETLSCHED_HANGS=$(scaled 20 1)" ;;
    calls) part calls calls:: "ETLSCHED_CALLS=$(awk "BEGIN { n = int(1 / $factor + 0.5); print (n < 1) ? 1 : n }")" ;;
    cuts) part cuts cuts:: "ETLSCHED_CUTS=$(scaled 60 10)" ;;
    writers) part writers concurrent:: "ETLSCHED_CONCURRENT=$(scaled 60 3)" ;;
    leases) part leases lease:: ;;
    faults) part faults faults:: ;;
    gate) part gate gate:: ;;
    errors) part errors retries:: ;;
    esac
done

{
    echo
    echo "soak of $(date -u +%Y-%m-%d), factor $factor, seeds $seeds, etlsched $version, profile $profile, $(($(date +%s) - began_all)) s:"
    cat "$summary"
    awk '
        function value(name) { return match($0, name "=[^ ]*") ? substr($0, RSTART + length(name) + 1, RLENGTH - length(name) - 1) : 0 }
        /^kills: / {
            d = value("destination"); if (!(d in kills)) order[++n] = d
            kills[d] += value("kills"); lost[d] += value("lost"); doubled[d] += value("doubled"); open[d] += value("open_runs")
            manual[d] += value("manual_repairs"); old[d] += value("old_load"); new[d] += value("new_load"); rows[d] += value("rows_compared")
        }
        /^hangs: / { hangs += value("runs"); kept += value("kept"); over = value("worst_over_seconds") + 0; if (over > worst) worst = over }
        /^two hosts|concurrent runs|^calls: / { said[++s] = $0 }
        END {
            if (n) printf "%-16s %6s %6s %8s %10s %15s %9s %9s %14s\n", "destination", "kills", "lost", "doubled", "open runs", "manual repairs", "old load", "new load", "rows compared"
            for (i = 1; i <= n; i++) { d = order[i]
                printf "%-16s %6d %6d %8d %10d %15d %9d %9d %14d\n", d, kills[d], lost[d], doubled[d], open[d], manual[d], old[d], new[d], rows[d] }
            for (i = 1; i <= s; i++) print said[i]
            if (hangs) printf "hangs: %d of %d ended within 10 s of their limit, the last %.1f s after it\n", kept, hangs, worst
        }' "$lines"
    echo "logs: $folder"
} | tee "$folder/result"
exit "$failed"
