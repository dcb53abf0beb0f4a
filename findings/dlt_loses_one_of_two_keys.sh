#!/usr/bin/env bash
# dlt 1.31.0 (PyPI): of two keys of a record that become the same column name, one value is lost, without an error or a warning.
#
# Expected: an error, as for a naming convention that makes two identifiers collide, or a second column.
# Seen with dlt 1.31.0, duckdb 2.0.1, Python 3.11, default naming (snake_case) and default schema contract:
#     {"id": "a", "modelOutputName": "one", "model_output_name": "two"}   one column, 'two'
#     {"id": "a", "model_output_name": "two", "modelOutputName": "one"}   one column, 'one'
# So the later key of the record wins, and the same record stored with its keys in another order gives another table.
# APIs that renamed a field and send both spellings for a while (camelCase and snake_case) meet it.
#
# Fails if that changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "dlt==1.31.0" "duckdb==2.0.1"
cd "$folder"
RUNTIME__DLTHUB_TELEMETRY=false HOME="$folder" venv/bin/python - <<'PY'
import dlt
import duckdb

RECORDS = {
    "snake_case last": {"id": "a", "modelOutputName": "one", "model_output_name": "two"},
    "camelCase last": {"id": "a", "model_output_name": "two", "modelOutputName": "one"},
}
seen = {}
for number, (case, record) in enumerate(RECORDS.items()):
    file = f"{number}.duckdb"
    pipeline = dlt.pipeline(
        f"p{number}", destination=dlt.destinations.duckdb(file), dataset_name="d", pipelines_dir="state"
    )
    pipeline.run([record], table_name="jobs").raise_on_failed_jobs()
    jobs = duckdb.connect(file).execute("SELECT * EXCLUDE (_dlt_id, _dlt_load_id) FROM d.jobs")
    seen[case] = ([column[0] for column in jobs.description], jobs.fetchall())
    print(case, *seen[case])
assert seen == {
    "snake_case last": (["id", "model_output_name"], [("a", "two")]),
    "camelCase last": (["id", "model_output_name"], [("a", "one")]),
}, "the behaviour has changed"
PY
