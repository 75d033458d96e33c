"""The reports on a class, as files: JSON, CSV, JUnit XML, Gradescope's results.json, and the HTML pages.

All are made from records (see `grade.Grader.grade`). Names and messages come from strangers: files are named by us,
and characters that steer a terminal, a text's direction or a parser are written as escapes such as \\x1b.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
import json
import os
import re
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

from clearformer.checks import catalogue
from clearformer.checks.feedback import MARKS
from clearformer.grading.classroom import pages
from clearformer.grading.report import SCHEMA, WORDS

GRADESCOPE_FILE = "/autograder/results/results.json"  # where Gradescope's container looks for it
FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # a cell that begins so may be run by a spreadsheet (OWASP, CSV injection)
# A spreadsheet takes a file without this mark for one in the machine's old encoding and spoils every name outside
# ASCII. pandas, readr and the usual gradebooks skip it.
MARK_OF_UTF_8 = "\ufeff"
STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but for tab and line end
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # text direction, and line ends that few programs know
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]"  # no characters at all
)
OUR_FILE = re.compile(r"[a-z0-9-]+-[0-9a-f]{8,64}")


def write_reports(records, out, sandbox, date=None):
    """Write every report on `records` into the folder `out`, each file in one step.

    sandbox: {"level": "full" or "none", "layers": [words]}; date: a datetime.date for the pages, today's by default.
    Pages of an earlier run about students who are not in `records` are taken away. OSError where a file cannot be
    written.
    """
    out, date = Path(out), date or datetime.date.today()
    records = sorted(records, key=lambda record: (record["student"], record["path"]))
    shown = for_people(records)
    written = set()
    for name, text in _files(records, shown, sandbox, date):
        _write(out / name, text)
        written.add(name)
    _remove_old(out, written)


def _files(records, shown, sandbox, date):
    """Pairs (path in the report's folder, text)."""
    yield "report.json", json.dumps(document(records, sandbox), indent=1) + "\n"
    yield "report.csv", submissions_csv(shown)
    yield "grades.csv", grades_csv(shown)
    yield "junit.xml", junit_xml(shown)
    for page, own in by_student(shown).items():
        yield f"gradescope/{page}/results.json", json.dumps(_gradescope(counted(own))) + "\n"
    yield from pages.render(shown, lessons_in(shown), sandbox, date)


def _write(path, text):
    """Put `text` into the file in one step: whoever reads it sees the old or the new, never a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(text.encode())
    os.replace(partial, path)


def _remove_old(out, written):
    """Take away what an earlier run wrote about students who are gone: nobody should hand it back by mistake."""
    for path in [*out.glob("students/*.html"), *out.glob("gradescope/*/results.json")]:
        name = path.stem if path.parent.name == "students" else path.parent.name
        if path.relative_to(out).as_posix() not in written and OUR_FILE.fullmatch(name):
            path.unlink()
            if path.parent.name != "students" and not any(path.parent.iterdir()):
                path.parent.rmdir()


# --- text and file names from strangers -----------------------------------------------------------------------


def clean(text):
    """`text` with each character that is not one, or that steers what shows it, written as its escape in Python."""
    return STEERING.sub(lambda match: match[0].encode("unicode_escape").decode(), text.replace("\r\n", "\n"))


def _one_line(text):
    return clean(text).replace("\n", r"\n").replace("\t", r"\t")


def file_names(students):
    """{student: a file's name without its ending}: lower-case ASCII, at most 105 characters, never twice the same.

    A name depends on its student alone, so that it stays when others come and go. Only where two would share one,
    which nobody meets by chance, does each get its whole hash.
    """
    digests = {each: hashlib.sha256(each.encode("utf-8", "surrogatepass")).hexdigest() for each in students}
    short = {each: f"{_slug(each)}-{digest[:8]}" for each, digest in digests.items()}
    taken = list(short.values())
    doubled = {name for name in taken if taken.count(name) > 1} if len(set(taken)) < len(taken) else ()
    return {each: f"{_slug(each)}-{digests[each]}" if name in doubled else name for each, name in short.items()}


def _slug(text):
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "student"


def for_people(records):
    """The records as a reader looks for them, by name, with text that is safe to show, and "page": the name of their
    student's files."""
    records = sorted(records, key=lambda record: (record["student"].casefold(), record["student"], record["path"]))
    names = file_names({record["student"] for record in records})
    return [{**_shown(record), "page": names[record["student"]]} for record in records]


def _shown(record):
    return {
        **record,
        "student": _one_line(record["student"]),
        "path": _one_line(record["path"]),
        "lesson": _one_line(record.get("lesson") or ""),
        "exercises": [_shown_exercise(each) for each in record["exercises"]],
        "trouble": [clean(text) for text in record.get("trouble", ())],
        "error": clean(record.get("error") or ""),
    }


def _shown_exercise(each):
    return {
        **each,
        "id": _one_line(each["id"]),
        "status": _one_line(each["status"]),
        "misconception": _one_line(each["misconception"]) if each["misconception"] else None,
        "message": clean(each["message"]),
        "rows": tuple((_one_line(name), clean(outcome)) for name, outcome in each.get("rows", ())),
    }


def by_student(shown):
    """{page: records}, in the order of the records."""
    found = {}
    for record in shown:
        found.setdefault(record["page"], []).append(record)
    return found


def counted(records):
    """Of one student's records, those that count: of several notebooks for a lesson the best, the first among equals.

    A notebook that could not be graded stands for its lesson only where there is no other.
    """
    best = {}
    for record in records:
        rival = best.get(record["lesson"])
        if rival is None or _worth(record) > _worth(rival):
            best[record["lesson"]] = record
    return list(best.values())


def _worth(record):
    return not record["error"], record["points"]


# --- JSON ----------------------------------------------------------------------------------------------------


def document(records, sandbox):
    """The document of `clearformer check` (report.document), with a "student" for each notebook and the "sandbox"."""
    return {"schema": SCHEMA, "sandbox": sandbox, "notebooks": [_notebook(record) for record in records]}


def _notebook(record):
    found = {name: _valid(record[name]) for name in ("student", "path", "points", "max_points")}
    fields = ("id", "status", "misconception", "message", "points", "max_points")
    found["exercises"] = [
        {**{name: _valid(each[name]) for name in fields}, "seconds": round(each["seconds"], 3)}
        for each in record["exercises"]
    ]
    return found | {"error": _valid(record["error"])} if record.get("error") else found


def _valid(value):
    """A text without half characters, at which strict readers of JSON stop; anything else as it is."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


# --- CSV -----------------------------------------------------------------------------------------------------


def submissions_csv(shown):
    """A row for each submission: points, and status and points of each exercise of the lessons that occur."""
    names = [name for columns in lessons_in(shown).values() for name in columns]
    names = list(dict.fromkeys(names))
    header = ["student", "path", "lesson", "points", "max_points"]
    rows = [[*header, *(f"{name} {what}" for name in names for what in ("status", "points")), "error"]]
    for record in shown:
        found = {each["id"]: (each["status"], each["points"]) for each in record["exercises"]}
        ungraded = ("", "") if record["error"] else (record["points"], record["max_points"])
        results = [value for name in names for value in found.get(name, ("", ""))]
        rows.append([record["student"], record["path"], record["lesson"], *ungraded, *results, record["error"]])
    return _csv(rows)


def grades_csv(shown):
    """A row for each student, a column with the points for each lesson; empty where nothing could be graded."""
    lessons = list(lessons_in(shown))
    rows = [["student", *lessons]]
    for own in by_student(shown).values():
        points = {record["lesson"]: record["points"] for record in counted(own) if not record["error"]}
        rows.append([own[0]["student"], *(points.get(lesson, "") for lesson in lessons)])
    return _csv(rows)


def lessons_in(shown):
    """{lesson: names of its exercises} of the graded records, in the order of the course; unknown ones follow."""
    found = {}
    for record in shown:
        if not record["error"]:
            found.setdefault(record["lesson"], {}).update(dict.fromkeys(each["id"] for each in record["exercises"]))
    course = {lesson.id: lesson.exercises for lesson in catalogue.LESSONS}
    order = [*(lesson for lesson in course if lesson in found), *sorted(set(found) - set(course))]
    return {lesson: list(dict.fromkeys([*course.get(lesson, ()), *found[lesson]])) for lesson in order}


def _csv(rows):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC).writerows([[_harmless(cell) for cell in row] for row in rows])
    return MARK_OF_UTF_8 + text.getvalue()


def _harmless(cell):
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip(" ").startswith(FORMULA) else cell


# --- JUnit XML -----------------------------------------------------------------------------------------------


def junit_xml(shown):
    """A test suite for each submission and a test case for each exercise, in the form that Jenkins' schema gives.

    failed: a failure; error, timeout, missing: an error; unanswered: skipped.
    """
    root = ElementTree.Element("testsuites", name="clearformer grade")
    for record in shown:
        root.append(_suite(record))
    for what in ("tests", "failures", "errors"):
        root.set(what, str(sum(int(suite.get(what)) for suite in root)))
    root.set("time", f"{sum(record['seconds'] for record in shown):.3f}")
    ElementTree.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, "unicode")}\n'


def _suite(record):
    suite = ElementTree.Element("testsuite", name=f"{record['student']}: {record['path']}")
    properties = ElementTree.SubElement(suite, "properties")
    for name in ("points", "max_points"):
        ElementTree.SubElement(properties, "property", name=name, value=str(record[name]))
    cases = [_case(record, each) for each in record["exercises"]]
    if record["error"]:
        case = ElementTree.Element("testcase", name="could be graded", classname=record["student"], time="0.000")
        ElementTree.SubElement(case, "error", type="error", message="could not be graded").text = record["error"]
        cases.append(case)
    suite.extend(cases)
    if record["trouble"]:
        ElementTree.SubElement(suite, "system-out").text = "\n".join(record["trouble"])
    suite.set("tests", str(len(cases)))
    for what, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(what, str(sum(case.find(element) is not None for case in cases)))
    suite.set("time", f"{record['seconds']:.3f}")
    return suite


def _case(record, each):
    case = ElementTree.Element(
        "testcase",
        name=each["id"],
        classname=f"{record['student']}.{record['lesson']}",
        time=f"{each['seconds']:.3f}",
    )
    if each["status"] == "unanswered":
        ElementTree.SubElement(case, "skipped").text = each["message"]
    elif each["status"] != "passed":
        element = "failure" if each["status"] == "failed" else "error"
        words = WORDS.get(each["status"], each["status"])
        kind = each["misconception"] or each["status"]
        ElementTree.SubElement(case, element, type=kind, message=words).text = each["message"]
    return case


# --- Gradescope ----------------------------------------------------------------------------------------------


def gradescope_results(record):
    """What Gradescope's results.json holds for one record, as its "Autograder Specifications" say; a dict for JSON."""
    return _gradescope(for_people([record]))


def write_gradescope_results(record, path=GRADESCOPE_FILE):
    """Write that one file, for use inside Gradescope's own container."""
    _write(Path(path), json.dumps(gradescope_results(record), indent=1) + "\n")


def _gradescope(shown):
    """The results of one student's notebooks together."""
    remarks = [text for record in shown for text in [record["error"], *record["trouble"]] if text]
    return {
        "score": sum(record["points"] for record in shown),
        "execution_time": round(sum(record["seconds"] for record in shown), 3),
        "output": "\n\n".join(remarks),
        "output_format": "text",
        "visibility": "visible",
        "tests": [_gradescope_test(each) for record in shown for each in record["exercises"]],
    }


def _gradescope_test(each):
    rows = [f"  {MARKS.get(outcome, '')} {outcome}: {name}" for name, outcome in each["rows"]]
    return {
        "name": each["id"],
        "score": each["points"],
        "max_score": each["max_points"],
        "status": "passed" if each["status"] == "passed" else "failed",
        "output": "\n".join([f"{each['id']}: {WORDS.get(each['status'], each['status'])}", "", each["message"]])
        + ("\n\nWhat was checked:\n" + "\n".join(rows) if rows else ""),
        "output_format": "text",
        "visibility": "visible",
    }
