"""Put a report into the summary of a GitHub Actions run: python summary.py report/report.json

Exit status: 1 where an exercise was tried and is not right yet, or a notebook could not be graded; else 0.
An exercise that nobody has begun is no mistake.
"""

import json
import os
import sys
from pathlib import Path

MARKS = {"passed": "✅ passed", "unanswered": "… not begun", "missing": "… not in the notebook"}


def summary(report):
    """The report's notebooks as Markdown."""
    return "\n".join(line for notebook in report["notebooks"] for line in _lines(notebook))


def _lines(notebook):
    yield f"### {_plain(notebook['path'])}: {notebook['points']} of {notebook['max_points']} points\n"
    if "error" in notebook:
        yield f"{_plain(notebook['error'])}\n"
        return
    yield "| exercise | result | points |\n|---|---|---|"
    for each in notebook["exercises"]:
        result = MARKS.get(each["status"], "❌ not yet")
        yield f"| {each['id']} | {result} | {each['points']} of {each['max_points']} |"
    yield ""
    for each in notebook["exercises"]:
        if not _is_fine(each):
            yield f"<details><summary>{each['id']}</summary><pre>{_plain(each['message'])}</pre></details>\n"


def _is_fine(exercise):
    return exercise["status"] in MARKS


def _plain(text):
    """Text that a notebook can steer, as text: no HTML, no Markdown, one paragraph."""
    return "".join(f"&#{ord(each)};" if each in "&<>`*_[]|\\\"'#@!\n\r" else each for each in text)


def main(file):
    report = json.loads(Path(file).read_text("utf-8"))
    text = summary(report)
    if place := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(place, "a", encoding="utf-8") as page:
            page.write(text + "\n")
    for notebook in report["notebooks"]:
        print(f"{notebook['path']!a}: {notebook['points']} of {notebook['max_points']} points")
    notebooks = report["notebooks"]
    fine = all("error" not in each and all(map(_is_fine, each["exercises"])) for each in notebooks)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
