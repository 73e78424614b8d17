#!/usr/bin/env bash
# tests/schemas.sh FOLDER: exports jobs of every kind and checks the files against published schemas, which are not part of this repository.
#
# FOLDER holds mit-task.xsd with xsd_check.py (Windows tasks) and kubernetes/ (JSON schemas of batch/v1 CronJob). Installs what is missing
# (Debian packages). Not part of tests/run.sh.
set -euo pipefail
fail() {
    echo "tests/schemas.sh: $*" >&2
    exit 1
}
[ $# = 1 ] && [ -d "$1" ] || fail "usage: tests/schemas.sh FOLDER"
schemas=$(realpath "$1")
cd "$(dirname "$0")/.."

# Debian's packages are for Debian's python3, which need not be the first of PATH.
python=
for candidate in python3 /usr/bin/python3; do
    "$candidate" -c 'import jsonschema, lxml, yaml' 2>/dev/null && python=$candidate && break
done
if [ -z "$python" ]; then
    python=/usr/bin/python3
    packages="python3-jsonschema python3-lxml python3-yaml"
    command -v apt-get >/dev/null || fail "these are missing, and there is no apt-get to bring them; install: $packages"
    echo "tests/schemas.sh: installing $packages" >&2
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
fi
cargo build --quiet --locked
etlsched=$PWD/target/debug/etlsched

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/jobs"
# Never connected to: only the form of it counts.
echo 'state: postgresql://db/etl' >"$work/etlsched.yaml"
count=0
while IFS= read -r schedule; do
    for zone in UTC Europe/Berlin Australia/Lord_Howe America/Santiago Africa/Casablanca; do
        count=$((count + 1))
        printf "$schedule\ntimezone: $zone\ndata_sources:\n  - path: data.csv\n" >"$work/jobs/job_$count.yaml"
    done
done <<'SCHEDULES'
hour: 2\nminute: 30
schedule_type: 15min\nminute: 7
schedule_type: 30min
schedule_type: hourly\nminute: 15
schedule_type: weekly\nday_of_week: [mon, sun]\nhour: 0\nminute: 15
schedule_type: monthly\nday_of_month: [1, 31, last]\nhour: 8
schedule: "30 2 13 * fri"
schedule: "5,10,20 */6 * */5 *"
schedule: "0 5 29 2 *"
catch_up_wakeups: hourly
on_overlap: wait\nhour: 23
SCHEDULES
# The longest id, with what Kubernetes has no place for.
cp "$work/jobs/job_1.yaml" "$work/jobs/$(printf 'a_%.0s' $(seq 31))-.yaml"

cd "$work"
"$etlsched" schedule export --format kubernetes --out kubernetes --program /usr/bin/etlsched --workspace '/srv/"my" etl: {#}' --quiet
rm etlsched.yaml
"$etlsched" schedule export --format windows --out windows --program 'C:\R&D <new>\etlsched.exe' --workspace 'C:\my etl' --user 'ACME\etl' --quiet
grep -l on_overlap jobs/* | xargs rm
"$etlsched" schedule export --format launchd --out launchd --program /usr/bin/etlsched --workspace '/Users/R&D <etl>' --host-zone Europe/Berlin --quiet

echo "== Windows tasks against mit-task.xsd, elements in the schema's order" >&2
"$python" "$schemas/xsd_check.py" --strict-order windows/*.xml >windows.said || { grep -v ' valid' windows.said >&2; fail "a task is invalid"; }

echo "== CronJobs against the JSON schemas of batch/v1" >&2
cat >check.py <<'PYTHON'
import glob, json, pathlib, plistlib, sys

import jsonschema
import yaml

definitions = json.loads((pathlib.Path(sys.argv[1]) / "kubernetes/_definitions.json").read_text())["$defs"]
text = json.dumps(definitions).replace("/api/_definitions.json#/", "#/")
definitions = json.loads(text)
# A server drops keys that it doesn't know: here they are faults.
for definition in definitions.values():
    if "properties" in definition:
        definition.setdefault("additionalProperties", False)
validator = jsonschema.Draft7Validator({"$ref": "#/$defs/io.k8s.api.batch.v1.CronJob", "$defs": definitions})
names, manifests = set(), 0
for path in glob.glob("kubernetes/*.yaml"):
    for manifest in yaml.safe_load_all(open(path)):
        manifests += 1
        problems = [error.message for error in validator.iter_errors(manifest)]
        name = manifest["metadata"]["name"]
        if name in names or len(name) > 52:
            problems.append("its name is taken or too long")
        names.add(name)
        if problems:
            sys.exit(f"{path}: {problems}")
    print(path, "valid")
# Planted faults have to be convicted.
job = manifest["spec"]["jobTemplate"]["spec"]
for key, value in [("backoffLimit", "none"), ("backofLimit", 0)]:
    kept = dict(job)
    job[key] = value
    if validator.is_valid(manifest):
        sys.exit(f"the schema accepts a planted fault in {key}: it was not read")
    job.clear()
    job.update(kept)
lists = [plistlib.load(open(path, "rb")) for path in glob.glob("launchd/*.plist")]
assert all(found["ProgramArguments"][2] == "/Users/R&D <etl>" and found["StartCalendarInterval"] for found in lists)
print(manifests, "CronJobs,", len(lists), "property lists", file=sys.stderr)
PYTHON
"$python" check.py "$schemas" >kubernetes.said || fail "a CronJob is invalid"
echo "tests/schemas.sh: $(grep -c ' valid' windows.said) tasks, $(grep -c ' valid' kubernetes.said) files of CronJobs are valid" >&2
