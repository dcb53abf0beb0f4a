"""The documentation's pages, and the code blocks in them."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ftetl.spark.__main__ import spark
from tests.cli.program import CLI_COMMANDS

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
GITHUB = sorted((ROOT / ".github").glob("*.md"))
PAGES = [README, *DOCS, *GITHUB]


def text_of(name: str) -> str:
    """A page of `docs/`."""
    return (ROOT / "docs" / name).read_text("utf-8")


def code_blocks(language: str, page: Path) -> list[str]:
    """The blocks of this language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def inline_code(page: Path) -> list[str]:
    """The words between single backticks outside of blocks."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", prose)


def options_of(command: click.Command) -> dict[str, click.Option]:
    """A command's options by each of their names."""
    return {name: o for o in command.params if isinstance(o, click.Option) for name in o.opts}


EVERY_OPTION = {name: option for command in CLI_COMMANDS.values() for name, option in options_of(command).items()}
KNOWN_OPTIONS = {*EVERY_OPTION, *options_of(spark), "--help", "--version", "-h"}
