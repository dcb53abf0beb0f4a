# ruff: noqa: E501 - module paths before texts of code
"""The test of the tests: faults that are put in on purpose, each of which must turn the suite red.

    python -m tests.mutation.seeded [WORD ...]      all of them, or those whose name has one of these words

Each is a small change of the text of one module, made in a throw-away copy of the project. One that no longer fits
its module is an error, so that the list stays true. A run that does not end in time counts as caught.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT = 600
POWER = "tests/faults/test_power_loss.py -k no_loss_of_power_takes"
SYNCS = "tests/faults/test_power_loss.py -k no_sync_can_be_forgotten"


@dataclass(frozen=True)
class Bug:
    """What is wrong, where, and the tests that should see it."""

    name: str
    module: str
    right: str
    wrong: str
    tests: str


BUGS = [
    Bug("no fsync of data", "store/durable_file.py", "                self._fs.sync(self._descriptor, self._path)\n", "", POWER),
    Bug("no fsync of the staged folder", "store/commit.py", "    fs.sync_folder(folder)\n", "", POWER),
    Bug("no fsync of snapshots", "store/commit.py", "    fs.sync_folder(folders.snapshots)\n", "", POWER),
    Bug("no fsync before the rename", "store/commit.py", "    fs.sync_folder(folders.manifests)  #", "    #", SYNCS),
    Bug("no fsync of the target", "store/commit.py", "    folders.fs.sync_folder(folders.root)\n", "", POWER),
    Bug("no fsync of the manifests", "store/transaction.py", "            lambda: fs.sync_folder(folders.manifests),\n", "", POWER),
    Bug("no fsync of what is hidden", "store/cleanup.py", "collect_errors([lambda: fs.sync_folder(manifests)])\n    return warn",
        "list[str]()\n    return warn", POWER),
    Bug("no fsync of what is removed", "store/cleanup.py", "    fs.sync_folder(snapshots)  #", "    #", SYNCS),
    Bug("rename before fsync", "store/commit.py",
        "    fs.sync_folder(folder)\n    fs.rename(folders.snapshots, TEMP + run_id, folders.snapshots, run_id)\n",
        "    fs.rename(folders.snapshots, TEMP + run_id, folders.snapshots, run_id)\n    fs.sync_folder(folder)\n",
        "tests/store/test_target.py -k the_order_is"),
    Bug(
        "redirects are followed",
        "extract/together_api/connections.py",
        "            retries=False,\n            redirect=False,\n",
        "            retries=3,\n            redirect=True,\n",
        "tests/extract/together_api/test_client.py -k redirect",
    ),
    Bug("text is decoded with replacement", "transform/merge/quarantine.py", 'element.raw.decode("utf-8")',
        'element.raw.decode("utf-8", "replace")', "tests/transform/merge/test_quarantine.py tests/transform/decode/test_extra_keys.py tests/integration/test_incremental_runs.py"),
    Bug("the key is a header", "extract/together_api/connections.py", "session.auth = BearerAuth(key)",
        'session.headers["Authorization"] = f"Bearer {key.reveal()}"', "tests/extract/together_api/test_client.py -k netrc"),
    Bug("no deadline", "clock.py", "max(0.0, self._end - time.monotonic())", "60.0",
        "tests/extract/together_api/test_client.py tests/extract/together_api/test_retry.py -k deadline"),
    Bug("pandera coerces", "validate/table_checks.py", "coerce=False", "coerce=True", "tests/validate/test_table_checks.py"),
    Bug("pandera drops rows", "validate/table_checks.py", "coerce=False", "coerce=False, drop_invalid_rows=True",
        "tests/validate/test_table_checks.py"),
    Bug("pandas guesses times", "transform/timestamps.py", "    if _has_usual_form(texts):\n",
        "    import pandas\n    guessed = pandas.to_datetime(texts.to_pandas(), utc=True, errors='coerce')\n"
        "    return pa.array(guessed, INSTANT), []\n    if _has_usual_form(texts):\n", "tests/transform/test_timestamps.py"),
    Bug("CSV without quotes", "loading/formats/csv.py", """quote = '"' if quoted""", """quote = "" if quoted""",
        "tests/loading/formats/test_csv.py"),
    Bug("CSV with bare CR", "loading/formats/csv.py", '_EOL = "\\r\\n"', '_EOL = "\\r"', "tests/loading/formats/test_csv.py"),
    Bug("vanished rows stay in a database", "loading/sql_loader.py", "WHERE {mine} AND NOT EXISTS", "WHERE 1 = 0 AND NOT EXISTS",
        "tests/loading/destinations/test_round_trip.py -k vanish"),
    Bug("another project's rows are deleted", "loading/sql_loader.py", "WHERE {mine} AND NOT EXISTS", "WHERE NOT EXISTS",
        "tests/loading/destinations/test_round_trip.py -k newer"),
    Bug("a column that became NULL stays", "loading/destinations/sqlite.py", 'differs = "IS NOT"', 'differs = "<>"',
        "tests/loading/destinations/test_failures.py -k somebody_changed"),
    Bug("a dry run is committed", "loading/destinations/sqlite.py", "if outcome.changed and not options.dry_run", "if outcome.changed",
        "tests/loading/destinations/test_round_trip.py -k newer"),
    Bug("texts in the encoding of the machine", "loading/postgres_connection.py", 'ours = {"client_encoding": "UTF8"}', "ours = {}",
        "tests/loading/test_postgres_connection.py -k encoding"),
    Bug("two loads into one schema at once", "loading/destinations/postgresql.py", "if not taken:", "if False:",
        "tests/loading/destinations/test_postgresql.py -k come_later"),
    Bug("a signal waits for the statement", "loading/postgres_connection.py", "self._cursor.adbc_cancel()", "pass",
        "tests/loading/test_postgres_connection.py -k signal"),
    Bug("a password in the address is taken", "loading/postgres_connection.py",
        'if parts.password is not None or any("password" in name for name in names):', "if False:",
        "tests/loading/test_postgres_connection.py -k in_the_address"),
    Bug("an older version is loaded", "loading/load_record.py", "if source.version < last.version:", "if False:",
        "tests/loading/test_load_record.py"),
    Bug("a damaged file is loaded", "loading/load_source.py", "if damage := find_damage(snapshot.root, read):", "if damage := []:",
        "tests/loading/destinations/test_failures.py -k damaged"),
    Bug("a form hides a key", "raw/secret_forms.py", "for place in _places_within(raw, at, matched.end()):", "for place in (at,):",
        "tests/integration/test_unlisted_secrets.py"),
    Bug("escapes before tokens", "raw/secret_forms.py", 'rb"(?<!\\\\)[A-Za-z0-9_-]\\Z"', 'rb"[A-Za-z0-9_-]\\Z"', "tests/raw/test_secret_forms.py"),
    Bug("whole reals like integers", "loading/formats/csv.py", 'pc.if_else(is_whole, ".0", "")', 'digits[:0]', "tests/loading/formats/test_csv.py"),
    Bug("files go on an unknown outcome", "store/transaction.py", "        self._is_open = False  # the", "        # the",
        "tests/store/test_target.py -k outcome_is_unknown"),
    Bug("an existing version is success", "store/commit.py", "if link is Link.MADE:", "if link is not Link.UNSUPPORTED:",
        "tests/store/test_target.py -k another_run_took"),
    Bug("an error after the commit", "store/transaction.py", "cleanup.collect_errors(operations) + removal_errors", "[call() or '' for call in operations]",
        "tests/store/test_target.py -k trouble_after_the_commit"),
    Bug("an unknown error is told with its text", "pipeline/export.py", 'f"{type(error).__name__} in {where}"',
        'f"{error} in {where}"', "tests/pipeline/test_run.py tests/cli/test_exit_handling.py"),
    Bug("commit before read-back", "store/transaction.py", "        self._read_back()\n", "", "tests/store/test_target.py -k disk_back"),
    Bug("an element of another content is unchanged", "pipeline/unchanged_elements.py", "known.filter(pc.fill_null(same, False))",
        "known.filter(pc.is_valid(at))", "tests/pipeline/test_unchanged_elements.py -k only_what_changed"),
    Bug("what other code decoded is believed", "pipeline/unchanged_elements.py", "!= (key.encode(), target", "!= (facts.get(_KEY), target",
        "tests/pipeline/test_unchanged_elements.py -k everything_is_decoded"),
    Bug("a shorter table keeps its files", "loading/unchanged_rows.py", "self.count == self._stored", "self.count <= self._stored",
        "tests/loading/test_unchanged_rows.py -k written_whole"),
    Bug("quarantine dropped", "transform/merge/quarantine.py", "    if not rows:\n", "    if rows is not None:\n", "tests/transform/merge/test_quarantine.py"),
    Bug("anomalies dropped", "pipeline/build_tables.py", 'writers.write_rows("anomalies", anomaly_table)',
        'writers.write_rows("anomalies", anomaly_table.slice(0, 0))', "tests/integration/test_golden.py tests/integration/test_incremental_runs.py"),
    Bug("current before the manifest", "store/transaction.py", "        if problem := commit_manifest(",
        "        cleanup.update_current_link(self._fs, self._folders.root, self.run_id)\n        if problem := commit_manifest(",
        "tests/store/test_target.py -k the_order_is"),
    Bug("the lock is not taken", "store/filesystem.py", "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass",
        "tests/store/test_lock.py"),
    Bug(
        "the key is printed",
        "config/credentials.py",
        "    def __repr__(self) -> str:\n        return MASK\n",
        "    def __repr__(self) -> str:\n        return self.__value\n",
        "tests/config/test_credentials.py",
    ),
    Bug("other code changes nothing", "pipeline/same_inputs.py", '        "code": code,\n', "",
        "tests/pipeline/test_same_inputs.py -k OtherCode"),
    Bug("another key of pseudonyms changes nothing", "pipeline/same_inputs.py", '        "privacy": dict(privacy),\n', "",
        "tests/pipeline/test_same_inputs.py -k pseudonyms"),
    Bug("another newest list changes nothing", "pipeline/same_inputs.py", " and document[list_watermark.FACT] == (iso(whole_at) if whole_at else None)", "",
        "tests/pipeline/test_same_inputs.py -k test_after"),
    Bug("a damaged version is taken for unchanged", "pipeline/same_inputs.py", "    if not target.confirm_base():\n        return None\n", "",
        "tests/pipeline/test_same_inputs.py -k damaged"),
    Bug("any run that made a version is repeatable", "pipeline/repeatable.py", "        return _is_plain_first(run)\n", "        return True\n",
        "tests/pipeline/test_same_inputs.py -k TestIsTaken"),
    Bug("a damaged base is built on", "pipeline/run.py", "        integrity.require_undamaged_base(target.path, target.base, formats.is_read_back)\n", "",
        "tests/faults/test_bitflips.py -k builds_on"),
    Bug("bill: a cost is cut", "transform/flatten/columns.py", "value.quantize(_LAST_PLACE, ROUND_HALF_EVEN)", 'value.quantize(_LAST_PLACE, "ROUND_DOWN")',
        "tests/transform/endpoints/test_billing_usage.py"),
    Bug("bill: windows of another month count", "transform/endpoints/billing_lines.py", "    if not day.startswith(month):\n", "    if False:\n",
        "tests/transform/endpoints/test_billing_usage.py"),
    Bug("bill: the last month is final", "pipeline/bills.py", "final=number < current - 1", "final=number < current", "tests/pipeline/test_billing.py -k again"),
    Bug("bill: every month is asked for", "extract/billing_pages.py", "return fetch() if self._is_shown else None", "return fetch()",
        "tests/pipeline/test_billing.py -k not_shown"),
    Bug("bill: a repeated window is taken", "extract/billing_pages.py", "if not self._seen.isdisjoint(starts):", "if False:", "tests/extract/test_billing_pages.py"),
    Bug("bill: a sum has 28 digits", "analysis/reconcile.py", "Context(prec=500)", "Context(prec=28)", "tests/analysis/test_reconcile.py"),
    Bug("bill: counted for each project", "analysis/reconcile.py", '[1] == line["project"]:', '[1] is not None:', "tests/analysis/test_reconcile.py"),
    Bug("metrics: large numbers are rounded", "transform/endpoints/metrics_arrow.py", 'if ends["max"] is not None and max(', "if False and max(", "tests/transform/endpoints/test_training_metrics.py"),
    Bug("metrics: microseconds taken for nanoseconds", "transform/endpoints/training_metrics.py", '["logged_at_ns"], 1000)', '["logged_at_ns"], 1)', "tests/transform/endpoints/test_training_metrics.py"),
    Bug("metrics: never asked for again", "pipeline/final_answers.py", "(has_metrics and _is_missing_metrics(a))", "_is_missing_metrics(a)", "tests/pipeline/test_training_metrics.py -k without_the_endpoint_is"),
    Bug("metrics: a diverged loss is the one before", "analysis/training_quality.py", "skip_nulls=False", "skip_nulls=True", "tests/analysis/test_training_quality.py"),
    Bug("rows that others deleted stay away", "loading/delta_lake.py",
        'if _WRITTEN not in commit and commit.get("operation") not in _UPKEEP:', "if False:",
        "tests/loading/destinations/test_lakes.py -k another_program_deleted"),
    Bug("a load that overtook another is not seen", "loading/lake_loader.py",
        "if lake.mark(name, source.project) != source.digest(name):", "if False:",
        "tests/loading/destinations/test_lakes.py -k two_loads"),
    Bug("reals of a workbook have 16 digits", "loading/xlsx_cells.py",
        "        return repr(float(self))", "        return format(float(self), spec)", "tests/loading/test_xlsx_cells.py"),
    Bug("a workbook that somebody changed is replaced", "loading/destinations/xlsx.py",
        "            if not is_untouched:", "            if False:", "tests/loading/destinations/test_xlsx.py -k left_it"),
]  # fmt: skip


def outcome(bug: Bug) -> str:
    """How it was caught; `SURVIVED`, or why it could not be put in."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for part in ("ftetl", "schemas", "tests", "docs"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / part, copy)
        module = copy / "ftetl" / bug.module
        text = module.read_text("utf-8")
        if text.count(bug.right) != 1:
            return f"DOES NOT APPLY: {bug.module} has its text {text.count(bug.right)} times"
        module.write_text(text.replace(bug.right, bug.wrong), "utf-8")
        words = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "no:randomly"]
        files, _, chosen = bug.tests.partition(" -k ")
        words += [*files.split(), *(["-k", chosen] if chosen else [])]
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        try:
            done = subprocess.run(
                words, cwd=copy, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            return "caught: the tests do not end"
        failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
        if done.returncode == 1 and failed:
            return f"caught by {failed[0].removeprefix('FAILED ').split(' - ')[0]}"
        return "SURVIVED" if done.returncode == 0 else f"NOT TRIED: pytest ended with {done.returncode}"


def main(words: list[str]) -> int:
    """The table; 1 if one of them was not caught."""
    bad = 0
    for bug in BUGS:
        if words and not any(word in bug.name for word in words):
            continue
        how = outcome(bug)
        bad += not how.startswith("caught")
        print(f"{bug.name:42} {how}", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
