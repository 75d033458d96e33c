"""Attacks on whoever reads the report: texts that are commands for a terminal, a page or a spreadsheet, or that never
end. They may be shown, as what they are."""

import csv
import io
import json
import re
from xml.etree import ElementTree

import pytest
from arena import LARGEST_RECORD, Attack, earned, said

HOSTILE = {
    "a script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "a terminal's commands": "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b31m\x08\x08",
    "text that runs the other way": "\u202edessap\u202c \u2066\u2069",
    "half a pair": "\ud800\udfff",
    "a formula": '=HYPERLINK("http://example.invalid","passed")',
    "line ends of every kind": "a\rb\x0bc\x0cd\x1ce\x85f\u2028g\u2029h",
    "null bytes": "a\0b",
    "much text": "x" * 3 * 10**5,
    "many lines": "\n" * 10**5,
    "marks upon marks": "e" + "\u0301" * 5000,
    "a row of the report": "softmax: passed (2 of 2 points)\n\nAll checks passed.",
    "the end of a document": "]]></failure></testsuite><![CDATA[",
    "a template": "{{ 7 * 7 }} {% raw %} ${7*7} {0.__class__}",
    "markup of a terminal library": "[bold red]passed[/bold red] [link=http://example.invalid]x[/link]",
}
PLACES = {
    "an exception's text": "def softmax(x, axis=-1):\n    raise ValueError({text!a})",
    "an exception's name": "def softmax(x, axis=-1):\n    raise type({name!a}, (Exception,), {{}})('x')",
    "a printed text": "def softmax(x, axis=-1):\n    print({text!a})\n    return x * 0",
    "a result's text": "def softmax(x, axis=-1):\n    return {text!a}",
    "a result's class": "def softmax(x, axis=-1):\n    return type({name!a}, (), {{}})()",
    "a stub's name": (
        "def stub(): raise NotImplementedError({text!a})\nstub.__code__ = stub.__code__.replace(co_name={text!a})\n"
        "def softmax(x, axis=-1):\n    return stub()"
    ),
    "a cell's exception": "raise ValueError({text!a})",
    "keys of a dict": "def softmax(x, axis=-1):\n    return {{{text!a}: x}}",
    "a line of code": "def softmax(x, axis=-1):\n    raise ValueError  # {line}",
}


def source_for(place, text):
    name = text.replace("\0", "0").replace("\ud800\udfff", "half")
    line = text.encode("ascii", "replace").decode().replace("\n", " ").replace("\r", " ").replace("\0", " ")
    return PLACES[place].format(text=text, name=name, line=line)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_kept_short_and_encodes(text, ground, grade_file):
    """In every place in turn, as many in one notebook as there are exercises to go wrong."""
    exercises = ("softmax", "causal_mask", "padding_mask", "causal_attention", "attention_backward")
    places = list(PLACES)
    for some in (places[:5], places[5:]):
        cells = [
            (name, source_for(place, HOSTILE[text]).replace("softmax(x, axis=-1)", f"{name}(x, *more, **how)"))
            for name, place in zip(exercises, some, strict=False)
        ]
        record = grade_file(ground.write(Attack("", [*cells, cells[-1][1]], None)))
        assert earned(record) == set()
        assert len(json.dumps(record)) < LARGEST_RECORD
        said(record).encode("utf-8")


def hostile_records(ground, ours):
    """A record of what a hostile notebook made its answers say."""
    cells = [
        ("softmax", source_for("an exception's text", "".join(HOSTILE[name] for name in ("a script", "null bytes")))),
        (
            "causal_mask",
            source_for("a result's text", HOSTILE["the end of a document"]).replace("softmax", "causal_mask"),
        ),
        (
            "padding_mask",
            source_for("a printed text", HOSTILE["a terminal's commands"]).replace("softmax", "padding_mask"),
        ),
        ("score_variance", f"score_variance = {HOSTILE['a formula']!r}"),
    ]
    record = ours(Attack("", cells, None))
    return {**record, "student": '=cmd|"<b>mallory</b>\x1b[31m', "path": '../../<i>"x".ipynb'}


@pytest.fixture
def reports(ground, ours, tmp_path):
    """{path: content} of all reports on a hostile notebook, and the folder that they were written into."""
    from clearformer.grading.classroom.documents import write_reports

    out = tmp_path / "report"
    write_reports([hostile_records(ground, ours)], out, {"level": "full", "layers": []})
    outside = [path for path in tmp_path.rglob("*") if "b>mallory" in path.name and out not in path.parents]
    assert not outside
    return {path: path.read_bytes().decode() for path in out.rglob("*") if path.is_file()}


def test_pages_show_markup_as_text(reports):
    pages = [content for path, content in reports.items() if path.suffix == ".html"]
    assert any("alert(1)" in page for page in pages)
    for page in pages:
        assert "<script>alert" not in page and "<img src=x" not in page and "<b>mallory" not in page


def test_tables_hold_no_formulas(reports):
    tables = [content for path, content in reports.items() if path.suffix == ".csv"]
    assert any("HYPERLINK" in table or "cmd|" in table for table in tables)
    for table in tables:
        for row in csv.reader(io.StringIO(table)):
            assert not [cell for cell in row if cell[:1] in ("=", "+", "@", "\t", "\r")], row


def test_xml_and_json_stay_what_they_are(reports):
    for path, content in reports.items():
        if path.suffix == ".xml":
            suites = ElementTree.fromstring(content)
            assert len(suites.findall(".//testcase")) == len(suites.findall(".//failure")) + len(
                suites.findall(".//error")
            ) + len(suites.findall(".//skipped"))
        if path.suffix == ".json":
            json.loads(content)


def test_no_report_commands_a_terminal(reports):
    for path, content in reports.items():
        assert not set(content) & set("\x1b\x9b\x07\x08\0\u202e"), path


def test_names_of_files_are_made_by_us(reports):
    for path in reports:
        assert re.fullmatch(r"[\w.-]+", path.name, re.ASCII), path
