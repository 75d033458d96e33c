"""Whatever happens to a section, its figures so far are kept and the run goes on."""

import argparse
import importlib.util
import time
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("sections_to_break", Path(__file__).parent / "sections_to_break.py")
broken = importlib.util.module_from_spec(spec)
spec.loader.exec_module(broken)


@pytest.fixture
def found(script, monkeypatch):
    apart = script("apart")
    monkeypatch.setattr(apart, "GRACE", 1)

    def of(name, seconds=30):
        return apart.run_apart(name, getattr(broken, name), argparse.Namespace(reduced=True), seconds, time.time())

    return of


@pytest.mark.parametrize(
    ("name", "status", "why"),
    [
        ("fails", "failed", "ValueError: the kernel"),
        ("is_killed", "failed", "its process ended by itself, with exit code -9"),
        ("leaves_something_out", "cut short", "30 s were too short for all of it"),
    ],
)
def test_what_went_wrong_stands_beside_what_was_found(found, name, status, why):
    section = found(name)
    assert (section["rows"], section["status"], section["why"]) == ([1], status, why)


def test_a_section_that_hangs_is_stopped(found):
    began = time.monotonic()
    section = found("hangs", seconds=2)
    assert time.monotonic() - began < 20
    assert (section["rows"], section["status"]) == ([1], "cut short")


def test_where_all_is_well_there_is_no_why(found):
    section = found("goes_well")
    assert section["status"] == "done" and "why" not in section and section["seconds"] >= 0
