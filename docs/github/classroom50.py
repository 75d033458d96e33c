"""Classroom 50's autograder.py: grades a submission with the course, and writes the result.json it asks for.

Put it into your configuration repository as CLASSROOM/autograders/ASSIGNMENT/autograder.py, change the two lines at
CHANGE, and give the assignment's runtime {"python": "3.12", "apt": ["bubblewrap"]}. docs/instructors.md says more.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

COURSE = "https://github.com/your-organisation/clearformer"  # CHANGE: your repository of the course
COMMIT = "0000000000000000000000000000000000000000"  # CHANGE: a commit; a branch or a tag may move


def installed_course(folder):
    """The course at COMMIT with its environment, in `folder`; this machine able to isolate student code."""
    course = Path(folder, "course")
    for command in (
        ["git", "clone", "--quiet", COURSE, course],
        ["git", "-C", course, "checkout", "--quiet", COMMIT],
        [sys.executable, course / "make_environment.py"],
        ["sudo", "sysctl", "-w", "kernel.apparmor_restrict_unprivileged_userns=0"],
    ):
        subprocess.run(command, check=True)
    return course


def graded(course, submission, folder):
    """The report on the notebooks in `submission`, as clearformer grade writes it."""
    students, report = Path(folder, "submissions"), Path(folder, "report")
    students.mkdir()
    exercises = Path(submission, "exercises")
    exercises = exercises if exercises.is_dir() else Path(submission)
    subprocess.run(["cp", "-RP", exercises, students / "student"], check=True)  # -P: links stay links
    command = [course / ".venv" / "bin" / "clearformer", "grade", students, "--out", report]
    subprocess.run(command, check=False, timeout=1800)
    return json.loads((report / "report.json").read_text("utf-8"))


def committed():
    """When the present commit was made: however often it is graded, it is not handed in later."""
    command = ["git", "show", "--no-patch", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd", "HEAD"]
    environment = os.environ | {"TZ": "UTC"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


def result(report):
    """What Classroom 50 asks for: points, and a test for each exercise."""
    exercises = [each for notebook in report["notebooks"] for each in notebook["exercises"]]
    tests = [
        {
            "test-name": each["id"],
            "passed": each["status"] == "passed",
            "score": each["points"],
            "max-score": each["max_points"],
            "message": each["message"],
        }
        for each in exercises
    ]
    environment = os.environ
    return {
        "schema": "classroom50/result/v1",
        "classroom": environment["CLASSROOM"],
        "assignment": environment["ASSIGNMENT"],
        "submission": environment["SUBMISSION_TAG"],
        "commit": environment["COMMIT_URL"],
        "release": environment["RELEASE_URL"],
        "review": environment.get("REVIEW_URL") or environment["COMMIT_URL"],
        "datetime": committed(),
        "score": sum(test["score"] for test in tests),
        "max-score": sum(test["max-score"] for test in tests),
        "tests": tests,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        found = result(graded(installed_course(scratch), Path.cwd(), scratch))
    Path("result.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
