"""The contracts: what they may say, what they mean, and that nothing of the wire is forgotten."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from ftetl import contract
from ftetl.contract import Column, Table, parse, tables, validation
from ftetl.errors import ConfigError

DATA = Path(__file__).parents[1] / "data"
SECRET = "a secret"

SOUND = """
description = "Things."
key = ["id"]
order = ["id"]
rows = "things"
secrets = ["password"]
pii = ["friend"]

[ignore]
object = "always the same"

[columns.id]
type = "string"
from = "/id"
required = true
pattern = "[a-z]+"
description = "Which."

[columns.size]
type = "integer"
from = ["size", "Size"]
unit = "bytes"
minimum = 0
fixed = true
description = "How big."

[columns.kind]
type = "string"
from = "shape.kind"
read = "lower_case"
enum = ["round", "flat"]
open = true
spellings = { circular = "round" }
description = "How it looks."

[columns.parent]
type = "string"
from = "parent"
references = "things.id"
detail = true
description = "Where it belongs."

[columns.made_at]
type = "datetime"
from = "made_at"
unit = "UTC"
whole_seconds = true
description = "When it was made."

[columns.usd]
type = "decimal"
from = "price"
read = "nano_to_usd"
description = "What it costs."

[columns.is_big]
type = "boolean"
from = "size"
read = "is_one_of"
values = ["big"]
description = "Whether it is big."

[columns.place]
type = "integer"
read = "position"
description = "Where it stands."

[columns.sold_at]
type = "datetime"
from = "sold_at"
after = "made_at"
description = "When it was sold."

[columns.owner]
type = "string"
from = "/owner.name"
pii = true
description = "Whose it is."
"""


class TestSound:
    def test_it_says_everything(self) -> None:
        table = parse("things.toml", SOUND)

        assert (table.name, table.key, table.rows, table.secrets) == ("things", ("id",), "things", ("password",))
        assert table.names == (
            "id", "size", "kind", "parent", "made_at", "usd", "is_big", "place", "sold_at", "owner"
        )  # fmt: skip
        assert [str(source) for source in table["size"].sources] == ["size", "Size"]
        assert str(table["id"].sources[0]) == "/id"
        assert table["kind"].sources[0].keys == ("shape", "kind")
        assert table["parent"].references == ("things", "id")
        assert table["kind"].spellings == {"circular": "round"}
        assert table["size"].minimum == 0
        assert (table["size"].fixed, table["usd"].fixed) == (True, False)
        assert (table["sold_at"].after, table["made_at"].after) == ("made_at", None)
        assert (table["owner"].pii, table["kind"].pii, table.pii) == (True, False, ("friend",))

    def test_every_word_of_the_grammar_occurs_in_it(self) -> None:
        raw = tomllib.loads(SOUND)

        assert validation.COLUMN_WORDS.keys() == {word for column in raw["columns"].values() for word in column}
        assert validation.TABLE_WORDS.keys() - raw.keys() == {
            "computed",
            "endpoint",
            "group",
        }  # as no table with `rows` has


NONSENSE = {
    # what is changed in the sound contract: the place that must be named, and what is said of it
    "an unknown word": ("minimum = 0", "minimun = 0", "column size", "unknown word `minimun`"),
    "an unknown word of the table": ('rows = "things"', 'row = "things"', "table things", "unknown word `row`"),
    "an unknown type": ('type = "boolean"', 'type = "bool"', "column is_big", "type 'bool'"),
    "an unknown reader": ('read = "lower_case"', 'read = "lowercase"', "column kind", "read 'lowercase'"),
    "a reader of another type": ('read = "lower_case"', 'read = "is_max"', "column kind", "gives boolean"),
    "no type": ('type = "boolean"', "", "column is_big", "no type"),
    "no description": ('description = "How big."', "", "column size", "no description"),
    "an empty description": ('description = "How big."', 'description = ""', "column size", "no description"),
    "no description of the table": ('description = "Things."', "", "table things", "no description"),
    "no key": ('key = ["id"]', "", "table things", "no key"),
    "a key that is not of type list": ('key = ["id"]', 'key = "id"', "table things", "`key` that is not of type list"),
    "a key that names no column": ('key = ["id"]', 'key = ["id", "nr"]', "column nr", "is not a column"),
    "a key of text that may be NULL": ('key = ["id"]', 'key = ["kind"]', "column kind", "must be required"),
    "a key that says a thing twice": ('key = ["id"]', 'key = ["id", "id"]', "table things", "twice"),
    "no columns": (SOUND[SOUND.index("[columns") :], "", "table things", "no columns"),
    "a column that is a text": ("[columns.id]", "[columns]\nx = 'y'\n[columns.id]", "column x", "is not a TOML table"),
    "a column in capitals": ("[columns.size]", "[columns.siZe]", "column siZe", "lower-case"),
    "a duplicate column": ("[columns.kind]", "[columns.size]", "things.toml", "'size'"),
    "a duplicate word": ("minimum = 0", "minimum = 0\nminimum = 1", "things.toml", "line"),
    "an order that names no column": ('order = ["id"]', 'order = ["nr"]', "column nr", "in the order but is not"),
    "an order by what may be NULL": ('order = ["id"]', 'order = ["kind", "id"]', "column kind", "must be required"),
    "whole seconds of a text": ("detail = true", "whole_seconds = true", "column parent", "for datetime only"),
    "no TOML": ('key = ["id"]', 'key = ["id"', "things.toml", "not TOML"),
    "a pattern on an integer": ("minimum = 0", "pattern = '[0-9]+'", "column size", "`pattern`, which is for string"),
    "a broken pattern": ('pattern = "[a-z]+"', 'pattern = "[a-z"', "column id", "not a regular expression"),
    "an enumeration of integers": ("minimum = 0", 'enum = ["1"]', "column size", "`enum`, which is for string"),
    "an enumeration that is a text": (
        'enum = ["round", "flat"]',
        'enum = "round"',
        "column kind",
        "`enum` that is not of",
    ),
    "an empty enumeration": ('pattern = "[a-z]+"', "enum = []", "column id", "empty"),
    "an enumeration with a number": (
        'enum = ["round", "flat"]',
        'enum = ["round", 1]',
        "column kind",
        "other than text",
    ),
    "a word twice": ('enum = ["round", "flat"]', 'enum = ["round", "round"]', "column kind", "twice"),
    "open, but no enumeration": ("minimum = 0", "open = true", "column size", "`open` without `enum`"),
    "a spelling of no word": ('circular = "round"', 'circular = "oval"', "column kind", "not in its `enum`"),
    "spellings of an integer": ("minimum = 0", 'spellings = { a = "b" }', "column size", "`spellings`, which is"),
    "a minimum of a text": ('pattern = "[a-z]+"', "minimum = 3", "column id", "`minimum`, which is for integer"),
    "a minimum that is a text": ("minimum = 0", 'minimum = "0"', "column size", "`minimum` that is not of type int"),
    "a minimum that is a truth": ("minimum = 0", "minimum = true", "column size", "`minimum` that is not of type int"),
    "a number after a time": ("minimum = 0", 'after = "made_at"', "column size", "`after`, which is for datetime"),
    "a time after a number": ('after = "made_at"', 'after = "size"', "column sold_at", "not a column of type"),
    "a time after nothing": ('after = "made_at"', 'after = "born_at"', "column sold_at", "not a column of type"),
    "required as a text": ("required = true", 'required = "yes"', "column id", "`required` that is not of type bool"),
    "a reference to no table": ('"things.id"', '"stuff.id"', "column parent", "refers to a missing column"),
    "a reference to no column": ('"things.id"', '"things.nr"', "column parent", "refers to a missing column"),
    "half a reference": ('"things.id"', '"things"', "column parent", "table.column"),
    "money without its reader": ('read = "nano_to_usd"', "", "column usd", "is of type decimal"),
    "its reader without money": ('type = "decimal"', 'type = "number"', "column usd", "gives decimal"),
    "values without a reader for them": (
        'read = "is_one_of"',
        'read = "is_max"',
        "column is_big",
        "does not allow `values`",
    ),
    "a reader without its values": ('values = ["big"]', "", "column is_big", "which needs `values`"),
    "no source": ('from = "price"', "", "column usd", "which needs `from`"),
    "a source for what has none": (
        'read = "position"',
        'read = "position"\nfrom = "nr"',
        "column place",
        "does not allow `from`",
    ),
    "an empty source": ('from = "price"', 'from = ""', "column usd", "empty"),
    "no source in a list": ('from = ["size", "Size"]', "from = []", "column size", "empty"),
    "a source with a missing key": ('from = "price"', 'from = "a..b"', "column usd", "a key is missing"),
    "events of no table": (
        'read = "lower_case"',
        'read = "last_event"\nvalues = ["x"]',
        "column kind",
        "events of a missing table",
    ),
    "rows below a key": ('rows = "things"', 'rows = "a.things"', "table things", "not one key"),
    "a source in a computed table": ('rows = "things"', "computed = true", "column id", "read = 'computed'"),
    "something ignored without a reason": ('object = "always the same"', "object = ''", "table things", "reason"),
    "a number that is a person": ("minimum = 0", "pii = true", "column size", "`pii`, which is for string"),
    "a person that ftetl makes": ('from = "/owner.name"', 'read = "computed"', "column owner", "`pii` without `from`"),
    "a person that is required": ("pii = true", "pii = true\nrequired = true", "column owner", "go with `required`"),
    "a person with a pattern": ("pii = true", "pii = true\npattern = 'x'", "column owner", "go with `pattern`"),
    "a person of a few": ("pii = true", "pii = true\nenum = ['x']", "column owner", "go with `enum`"),
    "a person that is a word": ("pii = true", 'pii = "yes"', "column owner", "`pii` that is not of type bool"),
    "people that are a text": ('pii = ["friend"]', 'pii = "friend"', "table things", "`pii` that is not of type list"),
    "a person under another name": ('from = "shape.kind"', 'from = "shape.name"', "column kind", "must be `pii`"),
    "a person that is none elsewhere": ('from = "parent"', 'from = "friend"', "column parent", "must be `pii`"),
    "secrets that are a text": ('secrets = ["password"]', 'secrets = "password"', "table things", "`secrets` that"),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_is_refused_by_file_table_and_column(case: str) -> None:
    old, new, place, said = NONSENSE[case]
    assert SOUND.count(old) == 1

    with pytest.raises(ConfigError) as caught:
        contract.related([parse("things.toml", SOUND.replace(old, new))])

    assert str(caught.value).startswith("schemas/things.toml")
    assert place in str(caught.value)
    assert said in str(caught.value)
    assert caught.value.next.startswith("correct the ")


COMPUTED = """
description = "Things that ftetl makes."
key = ["id"]
computed = true

[columns.id]
type = "string"
required = true
description = "Which."
"""


def test_an_order_without_the_key_is_refused() -> None:
    other = '[columns.at]\ntype = "datetime"\nrequired = true\nunit = "UTC"\ndescription = "When."\n'
    said = COMPUTED.replace("computed = true", 'computed = true\norder = ["at"]') + other
    with pytest.raises(ConfigError, match="has an `order` that lacks a part of the key"):
        parse("made.toml", said)
    assert parse("made.toml", said.replace('["at"]', '["at", "id"]')).sorted_by == ("at", "id")


def test_a_computed_table_needs_no_sources() -> None:
    assert parse("made.toml", COMPUTED)["id"].read == "computed"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("computed = true", 'computed = true\nrows = "things"', "table made has `rows` but is computed"),
        ("required = true", 'required = true\nread = "value"\nfrom = "id"', "column id has read = 'value'"),
    ],
)
def test_a_computed_table_reads_nothing(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse("made.toml", COMPUTED.replace(old, new))


@pytest.mark.parametrize("table", tables().values(), ids=lambda table: table.name)
class TestEveryContract:
    def test_is_described_to_the_last_column(self, table: Table) -> None:
        assert table.description.endswith(".")
        for column in table.columns:
            assert re.search(r"[.;]$", column.description), column.name

    def test_starts_with_the_project_and_is_keyed_by_it(self, table: Table) -> None:
        # But where a standard names the columns: there it is in another one.
        first = "ResourceId" if table.name == "focus_costs" else "project"
        assert table.key[0] == first
        assert (table.names[0] == "project") == (first == "project")

    def test_says_a_unit_where_one_could_be_guessed_wrong(self, table: Table) -> None:
        for column in table.columns:
            units = {"_usd": "USD", "_nanousd": "nano-USD", "_seconds": "seconds", "_at": "UTC"}
            for suffix, unit in units.items():
                if column.name.endswith(suffix):
                    assert column.unit == unit
            if column.type == "datetime":
                assert column.unit == "UTC"
            if column.name.endswith("_usd"):
                assert column.name.removesuffix("_usd") + "_nanousd" in table.names

    def test_reads_a_path_into_one_column_of_a_type(self, table: Table) -> None:
        read = [(str(source), c.type) for c in table.columns for source in c.sources if c.read != "last_event"]

        assert len({*read}) == len(read)


def test_parents_come_before_the_tables_that_refer_to_them() -> None:
    seen: set[str] = set()
    for table in tables().values():
        assert {column.references[0] for column in table.columns if column.references} <= seen
        seen.add(table.name)


class TestFingerprint:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('description = "How big."', 'description = "How large."'),
            ('description = "Things."', 'description = "All things."'),
            ('object = "always the same"', 'object = "says nothing"'),
            ("minimum = 0", "minimum = 0  # not less"),
            ('unit = "bytes"\nminimum = 0', 'minimum = 0\nunit = "bytes"'),
            ('from = "price"', 'from = ["price"]'),
            ('from = "price"', 'from = "price"\nrequired = false'),
        ],
    )
    def test_it_stays_where_only_words_for_people_change(self, old: str, new: str) -> None:
        assert SOUND.count(old) == 1
        assert parse("things.toml", SOUND.replace(old, new)).fingerprint == parse("things.toml", SOUND).fingerprint

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('type = "boolean"\nfrom = "size"\nread = "is_one_of"', 'type = "boolean"\nfrom = "s"\nread = "is_one_of"'),
            ('from = ["size", "Size"]', 'from = ["Size", "size"]'),
            ('from = "/id"', 'from = "id"'),
            ('read = "lower_case"', ""),
            ("required = true", 'required = true\nunit = "x"'),
            ('unit = "bytes"', ""),
            ("minimum = 0", ""),
            ("minimum = 0", "minimum = 1"),
            ('enum = ["round", "flat"]', 'enum = ["round", "flat", "long"]'),
            ("open = true", ""),
            ('circular = "round"', 'circular = "flat"'),
            ('values = ["big"]', 'values = ["huge"]'),
            ('pattern = "[a-z]+"', 'pattern = "[a-z]*"'),
            ('references = "things.id"', ""),
            ("detail = true", ""),
            ("fixed = true", ""),
            ('after = "made_at"', ""),
            ('secrets = ["password"]', ""),
            ('order = ["id"]', ""),
            ("whole_seconds = true", ""),
            ('object = "always the same"', 'objects = "always the same"'),
            ('rows = "things"', 'rows = "stuff"'),
            ("[columns.size]", "[columns.length]"),
            ("[columns.size]", "[columns.description]"),
        ],
    )
    def test_it_changes_with_the_meaning(self, old: str, new: str) -> None:
        assert SOUND.count(old) == 1
        assert parse("things.toml", SOUND.replace(old, new)).fingerprint != parse("things.toml", SOUND).fingerprint

    def test_it_does_not_tell_who_is_a_person(self) -> None:
        """Else marking a column would make every table a new one, for people who keep it all."""
        fewer = SOUND.replace("pii = true\n", "").replace('pii = ["friend"]\n', "")

        assert parse("things.toml", fewer).fingerprint == parse("things.toml", SOUND).fingerprint

    def test_it_changes_with_the_order_of_the_columns(self) -> None:
        size = SOUND[SOUND.index("[columns.size]") : SOUND.index("[columns.kind]")]
        assert parse("things.toml", SOUND.replace(size, "") + size).fingerprint != parse("t.toml", SOUND).fingerprint

    def test_it_changes_with_what_a_column_called_description_is(self) -> None:
        first = SOUND.replace("[columns.size]", "[columns.description]")
        second = first.replace("minimum = 0", "minimum = 1")

        assert parse("things.toml", first).fingerprint != parse("things.toml", second).fingerprint

    def test_every_part_of_a_contract_counts(self) -> None:
        """A new word of the grammar has to be thought of here."""
        assert {field.name for field in fields(Column)} == {
            *(validation.COLUMN_WORDS.keys() - {"from"}),
            "name",
            "sources",
        }
        assert {field.name for field in fields(Table)} == {*validation.TABLE_WORDS.keys(), "name", "fingerprint"}


def _fates() -> dict[str, list[str]]:
    """What becomes of each path of a job: the columns that read it, or the reason why none does."""
    fates: dict[str, list[str]] = {}
    for table in tables().values():
        if table.endpoint:
            continue
        above = f"{table.rows}." if table.rows else ""
        for path, reason in table.ignore.items():
            fates.setdefault(above + path, []).append(f"ignored: {reason}")
        for path in table.secrets:
            fates.setdefault(above + path, []).append(SECRET)
        for column in table.columns:
            for source in column.sources if column.read != "last_event" else ():
                path = ".".join(source.keys) if source.job else above + str(source)
                fates.setdefault(path, []).append(f"{table.name}.{column.name}")
    return fates


def _reader(path: str) -> Column:
    """The column that holds a field as it is sent."""
    columns = [tables()[fate.split(".")[0]][fate.split(".")[1]] for fate in _fates()[path]]
    return next(
        c for c in columns if c.read in ("value", "lower_case", "bool_text") and path.endswith(str(c.sources[0]))
    )


def _documented() -> dict[str, set[str]]:
    """The paths of the fields on our page about the API, and those that are kept in `extra` on purpose."""
    raw = tomllib.loads((DATA / "wire_fields.toml").read_text("utf-8"))
    return {name: set(paths) for name, paths in raw.items()}


@cache
def _published() -> dict[str, dict[str, Any]]:
    """The paths of the fields in the published OpenAPI, with their schemas."""
    schemas = yaml.safe_load((DATA / "openapi-fine-tunes.yaml").read_text("utf-8"))["components"]["schemas"]

    def walk(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if "$ref" in schema:
            yield from walk(schemas[schema["$ref"].rsplit("/", 1)[1]], path)
            return
        inner = [*schema.get("oneOf", ()), *schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]
        for branch in inner:
            yield from walk(branch, path)
        for name, part in schema.get("properties", {}).items():
            yield from walk(part, f"{path}.{name}" if path else name)
        if "enum" in schema or schema.get("type") not in (None, "object", "array") or "const" in schema:
            yield path, schema

    found: dict[str, dict[str, Any]] = {}
    for path, schema in walk(schemas["FinetuneResponseTruncated"], ""):
        known = found.setdefault(path, {"type": set(), "enum": set(), "format": set()})
        known["type"].add(schema.get("type"))
        known["enum"] |= set(schema.get("enum", ())) - {None}
        known["format"].add(schema.get("format"))
    return found


class TestTheWire:
    def test_the_published_schema_is_walked_to_its_leaves(self) -> None:
        """Else the tests below would hold of nothing."""
        published = _published()

        assert {"id", "events.hash", "training_type.lora_r", "lr_scheduler.lr_scheduler_args.num_cycles"} <= {
            *published
        }
        assert len(published) >= 60

    @pytest.mark.parametrize("path", sorted(_published()))
    def test_a_published_field_has_a_fate(self, path: str) -> None:
        assert path in _fates()

    @pytest.mark.parametrize("path", sorted(_documented()["job"] | _documented()["events"]))
    def test_a_documented_field_has_a_fate(self, path: str) -> None:
        assert path in _fates()

    def test_a_secret_is_one_wherever_it_is_documented(self) -> None:
        assert {path for path, fates in _fates().items() if SECRET in fates} == _documented()["secret"]

    def test_no_column_reads_a_field_that_nobody_has_seen(self) -> None:
        known = {*_published()}.union(*_documented().values())

        assert {path for path in _fates() if path not in known} == set()

    @pytest.mark.parametrize("path", sorted(path for path, schema in _published().items() if schema["enum"]))
    def test_every_published_word_of_an_enumeration_is_known(self, path: str) -> None:
        column = _reader(path)

        assert _published()[path]["enum"] <= {*column.enum, *column.spellings}
        assert column.open

    @pytest.mark.parametrize("path", sorted({*_published()} - {"events.object"}))
    def test_a_published_type_is_the_type_of_its_column(self, path: str) -> None:
        published, column = _published()[path], _reader(path)
        fitting = {"string": {"string", "datetime"}, "integer": {"integer", "number"}, "number": {"number"}}

        assert any(column.type in fitting.get(kind, {kind}) for kind in published["type"])
        assert (column.type == "datetime") == ("date-time" in published["format"] or path == "events.created_at")


class TestShipping:
    """The contracts lie beside the package in a checkout, and inside it where it is installed."""

    LISTING = (
        "from ftetl import contract; print(*contract.tables(), *(t.fingerprint for t in contract.tables().values()))"
    )

    @pytest.mark.parametrize("way", ["checkout", "installed", "zip"])
    def test_the_same_contracts_are_found(self, root: Path, tmp_path: Path, way: str) -> None:
        shutil.copytree(root / "ftetl", tmp_path / "site" / "ftetl", ignore=shutil.ignore_patterns("__pycache__"))
        inside = tmp_path / "site" if way == "checkout" else tmp_path / "site" / "ftetl"
        shutil.copytree(root / "schemas", inside / "schemas")
        site = tmp_path / "site"
        if way == "zip":
            site = tmp_path / "site.zip"
            with zipfile.ZipFile(site, "w") as archive:
                for file in (tmp_path / "site").rglob("*"):
                    archive.write(file, file.relative_to(tmp_path / "site"))

        done = subprocess.run(
            [sys.executable, "-P", "-c", self.LISTING],
            cwd=tmp_path,
            env={"PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=True,
        )

        assert done.stdout.split() == [*tables(), *(table.fingerprint for table in tables().values())]

    def test_nothing_but_contracts_is_taken_for_one(self) -> None:
        assert {path.name for path in contract.folder().iterdir()} == {"README.md", *(f"{t}.toml" for t in tables())}
