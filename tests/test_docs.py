"""What the documentation names exists."""

import re
from pathlib import Path

from typer.core import TyperGroup
from typer.main import get_command

from dvd_rental_dagster.cli import app
from dvd_rental_dagster.settings import PROJECT_ROOT

DOCUMENTS = [PROJECT_ROOT / "README.md", PROJECT_ROOT / "bench" / "README.md", *(PROJECT_ROOT / "docs").glob("*.md")]


def test_every_test_that_is_named_exists() -> None:
    defined = {
        name
        for path in (PROJECT_ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    named = {name for path in DOCUMENTS for name in re.findall(r"`(test_\w+)`", path.read_text())}
    assert named - defined == set()


def test_every_link_between_documents_leads_somewhere() -> None:
    links = [
        (path, link) for path in DOCUMENTS for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text())
    ]
    assert links
    assert [link for path, link in links if not Path(path.parent, link).exists()] == []


def test_every_setting_that_is_named_exists() -> None:
    listed = set(re.findall(r"^# (DVD_RENTAL_[A-Z_]+)=", (PROJECT_ROOT / ".env.example").read_text(), re.MULTILINE))
    named = {name for path in DOCUMENTS for name in re.findall(r"\bDVD_RENTAL_[A-Z_]*[A-Z]\b(?!_)", path.read_text())}
    assert named - listed - {"DVD_RENTAL_TEST_LONG", "DVD_RENTAL_TEST_DATA"} == set()


def test_every_command_that_is_named_exists() -> None:
    top = get_command(app)
    lines = [line for path in DOCUMENTS for line in path.read_text().splitlines()]
    named = [words.split() for line in lines for words in re.findall(r"(?:\.venv/bin/|^)dvd-rental ([a-z ]+)", line)]
    assert named
    for words in named:
        command = top
        for word in words:
            if not isinstance(command, TyperGroup):
                break
            assert word in command.commands, words
            command = command.commands[word]


def test_every_scenario_has_its_line() -> None:
    text = (PROJECT_ROOT / "docs" / "replication.md").read_text()
    numbers: set[int] = set()
    for cell in re.findall(r"^\| (\d[\d, -]*) \|", text, re.MULTILINE):
        for part in cell.split(","):
            first, _, last = part.strip().partition("-")
            numbers |= set(range(int(first), int(last or first) + 1))
    assert numbers == set(range(1, 70))
