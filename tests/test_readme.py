"""What README says is so."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clearformer.checks import catalogue
from clearformer.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def lesson_row(lesson):
    kinds = ", ".join(f"`{name}`" for name in lesson.exercises)
    return f"| [{lesson.id[:2]}](notebooks/{lesson.id}.ipynb) | {lesson.title} | {lesson.minutes} | {kinds} |"


@pytest.mark.parametrize("lesson", catalogue.LESSONS, ids=lambda lesson: lesson.id)
def test_the_map_of_lessons_is_the_catalogue(lesson):
    assert lesson_row(lesson) in README


def test_every_link_and_picture_leads_to_a_file():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    assert [target for target in targets if "://" not in target and not (ROOT / target).exists()] == []


def test_every_picture_says_what_it_shows():
    assert all(alt.strip() for alt in re.findall(r"!\[([^\]]*)\]", README))


@pytest.mark.parametrize("command", sorted(set(re.findall(r"(?<!from )clearformer ([a-z]+)", README))))
def test_every_command_it_names_exists(command):
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?make ([a-z]+)", README)) - {"it"}))
def test_every_make_target_it_names_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_report_it_shows_has_the_fields_of_a_real_one():
    sample = json.loads(re.search(r"```json\n(.*?)```", README, re.DOTALL).group(1))
    assert sample["schema"] == 1
    notebook = sample["notebooks"][0]
    assert set(notebook) == {"path", "points", "max_points", "exercises"}
    fields = {"id", "status", "misconception", "message", "points", "max_points", "seconds"}
    assert all(set(exercise) == fields for exercise in notebook["exercises"])
