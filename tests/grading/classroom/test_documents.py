"""The reports as files: what other programs read from them, and what strangers cannot do with their names."""

import csv
import datetime
import io
import json
import os
import random
import re
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

import pytest

from clearformer.checks import catalogue
from clearformer.grading.classroom import documents

SANDBOX = {"level": "full", "layers": ["mounts", "network"]}
DATE = datetime.date(2026, 3, 9)
SOFTMAX, MASK = "softmax", "causal_mask"
HOSTILE = [
    "<script>alert(1)</script>",
    "]]>&amp;<!--",
    "\0\x1b[2J\x07 bell",
    "\u202egnp.exe",
    "half \udcff a character \ud800",
    "../../etc/passwd",
    "..",
    "/",
    "C:\\windows\\con",
    "con",
    "line\nbreak\r\nand\rmore",
    "-rf",
    "",
    " ",
    "ж" * 127,
    "a" * 255,
    "=HYPERLINK(0)",
]


@pytest.fixture
def records(make_record, answer):
    """Ada has passed and failed one each, Bob could not be graded."""
    results = {SOFTMAX: answer(SOFTMAX), MASK: answer(MASK, "transposed")}
    bob = make_record("bob", {}, lesson="", path="bob/x.ipynb", error="Not a notebook: not JSON.")
    return [bob, make_record("ada", results, trouble=["Cell 3 stopped with ValueError: no"])]


@pytest.fixture
def written(tmp_path):
    """written(records) -> the folder of their reports"""

    def write(records, sandbox=SANDBOX, out=tmp_path / "out"):
        documents.write_reports(records, out, sandbox, DATE)
        return out

    return write


def rows_of(path):
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def all_files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- the whole folder ----------------------------------------------------------------------------------------


def test_a_class_of_two_gives_these_files(written, records):
    files = sorted(re.sub("-[0-9a-f]{8}", "-HASH", name) for name in all_files(written(records)))
    people = [f"{kind}/{who}-HASH{end}" for kind, end in (("gradescope", "/results.json"), ("students", ".html"))
              for who in ("ada", "bob")]  # fmt: skip
    assert files == sorted(["report.json", "report.csv", "grades.csv", "junit.xml", "index.html", *people])


def without_seconds(files):
    seconds = re.compile(rb'("seconds"|"execution_time"|time=)(: |)"?[0-9.]+"?')
    return {name: seconds.sub(b"", content) for name, content in files.items()}


def test_the_same_results_in_another_order_and_time_give_the_same_bytes(class_of, tmp_path):
    records = class_of(31)
    slower = [
        {**record, "seconds": 9.5, "exercises": [{**each, "seconds": 3.25} for each in record["exercises"]]}
        for record in records
    ]
    random.Random(1).shuffle(slower)
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder, found in zip(folders, (records, slower), strict=True):
        documents.write_reports(found, folder, SANDBOX, DATE)
    one, other = map(all_files, folders)
    assert one != other
    assert without_seconds(one) == without_seconds(other)


def test_an_empty_class_is_no_error(written):
    out = written([])
    assert json.loads((out / "report.json").read_text())["notebooks"] == []
    assert rows_of(out / "grades.csv") == [["student"]]
    assert ElementTree.parse(out / "junit.xml").getroot().get("tests") == "0"
    assert "There was no notebook." in (out / "index.html").read_text()


def test_whoever_reads_while_a_file_is_written_sees_the_old_one(written, records, monkeypatch):
    out = written(records)
    before = all_files(out)
    write_bytes = Path.write_bytes

    def run_out_of_space(path, content):
        write_bytes(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", run_out_of_space)
    with pytest.raises(OSError, match="No space"):
        written(records[:1])
    after = all_files(out)
    assert {name: after[name] for name in before} == before
    monkeypatch.undo()
    assert all_files(written(records)) == before  # and the half file is gone


def test_pages_of_students_who_are_gone_are_taken_away_and_other_files_stay(written, records):
    out = written(records)
    (out / "students" / "my notes.html").write_text("mine")
    (out / "gradescope" / "mine").mkdir()
    (out / "gradescope" / "mine" / "results.json").write_text("mine")
    files = set(all_files(written(records[:1])))
    assert not [name for name in files if "ada" in name]
    assert [name for name in files if "bob" in name]
    assert {"students/my notes.html", "gradescope/mine/results.json"} <= files
    assert not list(out.glob("gradescope/ada*"))


# --- file names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("student", HOSTILE)
def test_a_name_cannot_choose_its_file(student):
    (name,) = documents.file_names([student]).values()
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
    assert len(name) < 110


def test_names_that_a_file_system_may_take_for_equal_have_files_of_their_own(written, make_record, answer):
    students = ["Zoë", unicodedata.normalize("NFD", "Zoë"), "ZOË", "zoe", "zoe ", "zoe\n", "Zoe", "zo\u00adë", "ｚｏｅ"]
    assert len({name.casefold() for name in documents.file_names(students).values()}) == len(students)
    out = written([make_record(student, {SOFTMAX: answer(SOFTMAX)}) for student in students])
    assert len(list(out.glob("students/*.html"))) == len(list(out.glob("gradescope/*/*"))) == len(students)


def test_names_with_the_same_short_hash_do_not_share_a_file(monkeypatch):
    real = documents.hashlib.sha256

    class Clash:
        def __init__(self, content):
            self.end = real(content).hexdigest()

        def hexdigest(self):
            return "0" * 8 + self.end[8:]

    monkeypatch.setattr(documents.hashlib, "sha256", Clash)
    names = documents.file_names(["ada", "ADA", "bob"])
    assert len(set(names.values())) == 3
    assert names["bob"] == "bob-00000000"


def test_a_file_name_stays_when_others_come_and_go():
    alone = documents.file_names(["Ada"])["Ada"]
    assert documents.file_names(["Ada", "Bob", "Ada "])["Ada"] == alone


# --- JSON ----------------------------------------------------------------------------------------------------


def test_the_json_is_the_one_of_clearformer_check_with_students_and_sandbox(written, records, answer):
    found = json.loads((written(records) / "report.json").read_text(encoding="ascii"))
    wrong = {"id": MASK, "status": "failed", "misconception": "transposed", "points": 0, "max_points": 1}
    wrong |= {"message": answer(MASK, "transposed")["message"], "seconds": 0.125}
    right = {"id": SOFTMAX, "status": "passed", "misconception": None, "points": 2, "max_points": 2}
    right |= {"message": "All checks passed.", "seconds": 0.125}
    ada = {"student": "ada", "path": "ada/02_attention.ipynb", "points": 2, "max_points": 3}
    bob = {"student": "bob", "path": "bob/x.ipynb", "points": 0, "max_points": 0}
    assert found == {
        "schema": 1,
        "sandbox": SANDBOX,
        "notebooks": [
            {**ada, "exercises": [right, wrong]},
            {**bob, "exercises": [], "error": "Not a notebook: not JSON."},
        ],
    }


@pytest.mark.parametrize("student", HOSTILE)
def test_every_json_file_holds_whole_characters_only(written, make_record, answer, student):
    passed = {**answer(SOFTMAX), "message": student}
    out = written([make_record(student, {SOFTMAX: passed}, path=student, trouble=[student])])
    for path in out.rglob("*.json"):
        # Re-encoding fails where an escape such as \udcff stands alone.
        json.dumps(json.loads(path.read_text(encoding="utf-8")), ensure_ascii=False).encode()
    assert json.loads((out / "report.json").read_text())["notebooks"][0]["student"].startswith(student[:3])


# --- CSV -----------------------------------------------------------------------------------------------------


def test_the_table_has_the_status_and_points_of_every_exercise_of_the_lesson(written, records):
    header, ada, bob = rows_of(written(records) / "report.csv")
    names = list(catalogue.lesson("02_attention").exercises)
    pairs = [f"{name} {what}" for name in names for what in ("status", "points")]
    assert header == ["student", "path", "lesson", "points", "max_points", *pairs, "error"]
    ada, bob = (dict(zip(header, row, strict=True)) for row in (ada, bob))
    assert (ada["softmax status"], ada["softmax points"], ada["causal_mask status"]) == ("passed", "2", "failed")
    assert (ada["points"], ada["max_points"], ada["error"]) == ("2", "3", "")
    assert (bob["points"], bob["lesson"], bob["error"]) == ("", "", "Not a notebook: not JSON.")


def test_the_columns_follow_the_course_whatever_is_handed_in_first(written, make_record, answer):
    late, early = "03_multi_head_attention", "00_start_here"
    records = [
        make_record("ada", {"split_heads": answer("split_heads")}, lesson=late),
        make_record("bob", {"normalise_rows": answer("normalise_rows")}, lesson=early),
        make_record("bob", {SOFTMAX: answer(SOFTMAX), "causal_mask": answer(MASK)}),
    ]
    out = written(records)
    course = [name for lesson in (early, "02_attention", late) for name in catalogue.lesson(lesson).exercises]
    assert rows_of(out / "report.csv")[0][5:-1:2] == [f"{name} status" for name in course]
    assert rows_of(out / "grades.csv") == [
        ["student", early, "02_attention", late],
        ["ada", "", "", "2"],
        ["bob", "1", "3", ""],
    ]


def test_a_student_is_in_the_gradebook_once_with_the_best_notebook(written, make_record, answer):
    def handed_in(path, *slugs, error=""):
        return make_record("ada", {SOFTMAX: answer(SOFTMAX, *slugs)} if not error else {}, path=path, error=error)

    out = written([handed_in("a", error="Not JSON."), handed_in("b", "wrong-axis"), handed_in("c"), handed_in("d")])
    assert rows_of(out / "grades.csv")[1:] == [["ada", "2"]]
    (results,) = out.glob("gradescope/*/results.json")
    assert [test["score"] for test in json.loads(results.read_text())["tests"]] == [2]
    assert len(rows_of(out / "report.csv")) == 5


def test_of_two_equally_good_notebooks_the_first_counts(make_record, answer):
    shown = documents.for_people(make_record("ada", {SOFTMAX: answer(SOFTMAX)}, path=path) for path in "abc")
    assert [record["path"] for record in documents.counted(shown)] == ["a"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", " =", "＝", "＋", "－", "＠"])
def test_no_cell_is_a_formula(written, make_record, start):
    evil = f"{start}cmd|' /C calc'!A0"
    out = written([make_record(evil, {}, lesson=evil, path=evil, error=evil), make_record(evil, {}, evil, evil)])
    for path in (out / "report.csv", out / "grades.csv"):
        cells = [cell for row in rows_of(path) for cell in row]
        assert [cell for cell in cells if "cmd" in cell]
        assert not [cell for cell in cells if cell.lstrip(" ").startswith(documents.FORMULA)]


@pytest.mark.parametrize("student", HOSTILE)
def test_a_hostile_name_stays_in_its_cell(written, make_record, answer, student):
    out = written([make_record(student, {SOFTMAX: answer(SOFTMAX)}, path=student)])
    header, row = rows_of(out / "report.csv")
    assert len(row) == len(header)
    for path in (out / "report.csv", out / "grades.csv"):
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")
        assert len(path.read_bytes().decode().splitlines()) == 2
        assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e]", path.read_bytes().decode())


# --- JUnit XML -----------------------------------------------------------------------------------------------

# What Jenkins' two schemata (junit-4.xsd and junit-10.xsd) both allow, as far as it is used:
# {element: (children in this order, required attributes, further attributes)}.
SCHEMA = {
    "testsuites": (["testsuite"], set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        ["properties", "testcase", "system-out", "system-err"],
        {"name", "tests", "failures", "errors"},
        {"time", "skipped", "timestamp", "hostname", "id", "package"},
    ),
    "properties": (["property"], set(), set()),
    "property": ([], {"name", "value"}, set()),
    "testcase": (["skipped", "error", "failure", "system-out", "system-err"], {"name"}, {"time", "classname"}),
    "skipped": ([], set(), set()),
    "error": ([], set(), {"type", "message"}),
    "failure": ([], set(), {"type", "message"}),
    "system-out": ([], set(), set()),
}


def against_schema(element):
    children, required, further = SCHEMA[element.tag]
    problems = [f"{element.tag}: {name}" for name in required - set(element.keys())]
    problems += [f"{element.tag}: {name}" for name in set(element.keys()) - required - further]
    tags = [child.tag for child in element]
    if any(tag not in children for tag in tags) or tags != sorted(tags, key=children.index):
        problems.append(f"{element.tag}: {tags}")
    if not re.fullmatch(r"([0-9]*(\.[0-9]{0,3})?)", element.get("time", "")):
        problems.append(f"{element.tag}: time={element.get('time')}")
    return problems + [problem for child in element for problem in against_schema(child)]


def test_the_junit_file_keeps_to_the_schema_and_its_counts_are_right(written, class_of):
    records = class_of(61)
    root = ElementTree.parse(written(records) / "junit.xml").getroot()
    assert against_schema(root) == []
    assert len(root) == len(records)
    for suite in [*root, root]:
        cases = list(suite.iter("testcase"))
        count = {tag: sum(case.find(tag) is not None for case in cases) for tag in ("failure", "error", "skipped")}
        assert int(suite.get("tests")) == len(cases)
        assert (int(suite.get("failures")), int(suite.get("errors"))) == (count["failure"], count["error"])
        assert suite is root or int(suite.get("skipped")) == count["skipped"]


def test_each_status_is_what_a_test_runner_calls_it(written, make_record, answer):
    texts = {status: f"about {status}" for status in documents.WORDS}
    names = list(catalogue.lesson("02_attention").exercises)
    results = {
        name: {**answer(SOFTMAX), "status": status, "message": text}
        for name, (status, text) in zip(names, texts.items(), strict=False)
    }
    root = ElementTree.parse(written([make_record("ada", results)]) / "junit.xml").getroot()
    found = {case.get("name"): [(child.tag, child.text) for child in case] for case in root.iter("testcase")}
    tags = {"passed": [], "failed": ["failure"], "unanswered": ["skipped"]}
    for name, status in zip(names, texts, strict=False):
        assert found[name] == [(tag, texts[status]) for tag in tags.get(status, ["error"])]


def test_a_notebook_that_could_not_be_graded_is_an_error_in_its_suite(written, records):
    ada, bob = ElementTree.parse(written(records) / "junit.xml").getroot()
    assert bob.get("errors") == bob.get("tests") == "1"
    assert bob.find("testcase/error").text == "Not a notebook: not JSON."
    assert ada.find("system-out").text == "Cell 3 stopped with ValueError: no"


@pytest.mark.parametrize("text", HOSTILE)
def test_the_junit_file_is_xml_whatever_a_notebook_says(written, make_record, answer, text):
    failed = {**answer(MASK, "transposed"), "message": text, "misconception": text}
    ungraded = make_record(text, {}, text, text, error=text or "x")
    records = [make_record(text, {MASK: failed}, text, text, [text]), ungraded]
    root = ElementTree.parse(written(records) / "junit.xml").getroot()
    assert against_schema(root) == []
    assert len(list(root.iter("failure"))) == len(list(root.iter("error"))) == 1
    # ElementTree knows more characters than XML 1.0 does.
    allowed = "\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff"
    assert not re.search(f"[^{allowed}]", (written(records) / "junit.xml").read_text(encoding="utf-8"))


# --- Gradescope ----------------------------------------------------------------------------------------------


def against_gradescope(found):
    """What breaks the format of Gradescope's "Autograder Specifications"."""
    visible = {"hidden", "after_due_date", "after_published", "visible"}
    formats = {"text", "html", "simple_format", "md", "ansi"}
    top = {"score": (int, float), "execution_time": (int, float), "output": str, "tests": list}
    top |= {"output_format": formats, "visibility": visible}
    each = {"score": (int, float), "max_score": (int, float), "name": str, "output": str}
    each |= {"status": {"passed", "failed"}, "output_format": formats, "visibility": visible}
    for fields, allowed in [(found, top), *((test, each) for test in found["tests"])]:
        for name, value in fields.items():
            rule = allowed[name]
            assert value in rule if isinstance(rule, set) else isinstance(value, rule), name
        assert "score" in fields
    return found


def test_gradescope_gets_points_words_and_what_was_checked(written, records):
    out = written(records)
    (path,) = out.glob("gradescope/ada-*/results.json")
    found = against_gradescope(json.loads(path.read_text()))
    right, wrong = found["tests"]
    assert (found["score"], found["execution_time"]) == (2, 0.25)
    assert (right["name"], right["score"], right["max_score"], right["status"]) == (SOFTMAX, 2, 2, "passed")
    assert (wrong["name"], wrong["score"], wrong["max_score"], wrong["status"]) == (MASK, 0, 1, "failed")
    assert wrong["output"].startswith("causal_mask: not right yet\n\nYour mask shows the upper triangle")
    assert "✗ failed: " in wrong["output"]
    assert found["output"] == "Cell 3 stopped with ValueError: no"


def test_every_result_of_a_class_is_one_that_gradescope_knows(class_of):
    records = class_of(121)
    statuses = {each["status"] for record in records for each in record["exercises"]}
    assert statuses == set(documents.WORDS)
    for record in records:
        tests = against_gradescope(documents.gradescope_results(record))["tests"]
        assert [test["status"] == "passed" for test in tests] == [
            each["status"] == "passed" for each in record["exercises"]
        ]


def test_gradescope_hears_why_a_notebook_could_not_be_graded(records):
    found = against_gradescope(documents.gradescope_results(records[0]))
    assert (found["score"], found["tests"], found["output"]) == (0, [], "Not a notebook: not JSON.")


def test_inside_gradescope_the_one_file_is_written(tmp_path, records):
    path = tmp_path / "autograder" / "results" / "results.json"
    documents.write_gradescope_results(records[1], path)
    assert json.loads(path.read_text()) == documents.gradescope_results(records[1])
    assert os.listdir(path.parent) == ["results.json"]
    assert documents.GRADESCOPE_FILE == "/autograder/results/results.json"
