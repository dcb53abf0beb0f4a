"""The options: what they take, what they refuse, and that their defaults are the library's."""

from __future__ import annotations

import os
import pkgutil
from pathlib import Path
from typing import Any

import click
import pytest

from ftetl.cli import commands
from ftetl.cli.main import COMMANDS, cli
from ftetl.config.settings import Settings
from ftetl.errors import ConfigError
from ftetl.store.target import Target
from tests.cli.program import CLI_COMMANDS

RUNS = {"export": CLI_COMMANDS["export"], "demo": CLI_COMMANDS["demo"]}
EVERY_OPTION = [
    pytest.param(parameter, id=f"{name} {parameter.opts[0]}")
    for name, command in CLI_COMMANDS.items()
    for parameter in command.params
    if isinstance(parameter, click.Option)
]


def parsed(*words: str, command: str = "export") -> dict[str, Any]:
    # With its parent, from which it has the names of --help, and keeps them for everybody.
    return RUNS[command].make_context(command, [*words], parent=cli.make_context("ftetl", [])).params


def settings(**given: Any) -> Settings:
    for name in ("quiet", "verbose", "as_json", "log_format"):
        given.pop(name)
    return Settings.from_options(given.pop("target"), given.pop("source", "demo"), given)


@pytest.mark.parametrize(("name", "short_help"), COMMANDS.items())
def test_every_command_says_what_it_does(name: str, short_help: str) -> None:
    assert CLI_COMMANDS[name].help
    assert short_help.endswith(".")
    assert len(short_help) <= 65  # more would be cut off on a terminal of 80 columns


def test_every_module_of_a_command_is_in_the_help() -> None:
    modules = {module.name for module in pkgutil.iter_modules(commands.__path__)}

    assert {*COMMANDS} == modules
    assert cli.list_commands(click.Context(cli)) == sorted(modules)


@pytest.mark.parametrize("option", EVERY_OPTION)
def test_every_option_says_what_it_means(option: click.Option) -> None:
    assert option.help
    assert option.help.endswith(".")


def test_without_options_a_run_has_the_librarys_settings() -> None:
    environ = os.environ

    assert settings(**parsed("there")) == Settings(target=Path("there"), environ=environ)
    assert settings(**parsed(command="demo")) == Settings(target=Path("ftetl-demo"), source="demo", environ=environ)


def test_every_setting_can_be_given_on_the_command_line() -> None:
    words = {*parsed("there")} - {"quiet", "verbose", "as_json", "log_format"}

    assert words == {*Settings.__dataclass_fields__} - {"environ"}


def test_the_demo_takes_all_that_makes_sense_without_a_source() -> None:
    only_export = {*parsed("there")} - {*parsed(command="demo")}

    assert only_export == {
        "source",
        "api_key_file",
        "base_url",
        "observed_at",
        "whole",
        "skip_broken",
        "allow_shrink",
        "allow_account_change",
        "allow_drift",
        "max_bytes",
    }


def test_no_option_takes_a_key() -> None:
    names = {name for option in EVERY_OPTION for name in option.values[0].opts}

    assert {name for name in names if "key" in name or "token" in name} == {"--api-key-file", "--pii-key-file"}


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--file-mode", "0640"], "file_mode", 0o640),
        (["--file-mode", "600"], "file_mode", 0o600),
        (["--file-mode", "0o644"], "file_mode", 0o644),
        (["--deadline", "1.5"], "deadline", 1.5),
        (["--lock-timeout", "0"], "lock_timeout", 0.0),
        (["--format", "csv"], "formats", ("csv",)),
        (["--format", "csv", "--format", "parquet"], "formats", ("csv", "parquet")),
        (["-vv"], "verbose", 2),
        (["--from", "-"], "source", "-"),
    ],
)
def test_an_option_is_understood(words: list[str], name: str, value: object) -> None:
    assert parsed("there", *words)[name] == value


@pytest.mark.parametrize(
    "words",
    [
        *(
            ["--file-mode", mode]
            for mode in ("", "8", "abc", "-600", "0777", "0602", "0200", "0666", "6_40", "384", "1600")
        ),
        *(["--deadline", seconds] for seconds in ("", "soon", "-1", "nan", "inf", "1e300")),
        *(["--lock-timeout", seconds] for seconds in ("-0.1", "nan", "inf")),
        ["--format", "xlsx"],
        ["--events", "all"],
        ["--quarantine", "no"],
        ["--concurrency", "many"],
        ["--keep", "1.5"],
        ["--max-bytes", "1GB"],
    ],
)
def test_nonsense_is_a_usage_error(words: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parsed("there", *words)


def test_a_mode_is_taken_if_the_store_takes_it(tmp_path: Path) -> None:
    def is_stored(mode: int) -> bool:
        try:
            Target(tmp_path / f"{mode:o}", file_mode=mode).close()
        except ConfigError:
            return False
        return True

    def is_parsed(mode: int) -> bool:
        try:
            return parsed("there", "--file-mode", f"{mode:04o}")["file_mode"] == mode
        except click.UsageError:
            return False

    stored = {mode for mode in range(0o1000) if is_stored(mode)}

    assert len(stored) == 8
    assert {mode for mode in range(0o1000) if is_parsed(mode)} == stored
