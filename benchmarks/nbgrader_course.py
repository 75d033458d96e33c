"""A course of nbgrader in a temporary folder, to measure it by."""

import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "benchmark"
c.CourseDirectory.root = {root!r}
"""


class NbgraderCourse:
    """folder: an empty one; source: the notebook with the answers, which is released as the assignment."""

    def __init__(self, folder, source):
        self.folder, self.assignment = Path(folder), Path(source).stem
        self.submitted = self.folder / "submitted"
        (self.folder / "nbgrader_config.py").write_text(CONFIG.format(root=str(self.folder)), encoding="utf-8")
        (self.folder / "source" / self.assignment).mkdir(parents=True)
        shutil.copy(source, self.folder / "source" / self.assignment)
        self._gradebook, self._untouched = self.folder / "gradebook.db", self.folder / "gradebook_untouched.db"
        self.run("generate_assignment", self.assignment)
        shutil.copy(self._gradebook, self._untouched)

    def run(self, *arguments):
        """Run nbgrader with these arguments; returns the seconds it took. RuntimeError where it fails."""
        private = {
            "CLEARFORMER_HOME": str(self.folder / "home"),
            "IPYTHONDIR": str(self.folder / "ipython"),
            "JUPYTER_CONFIG_DIR": str(self.folder / "jupyter"),
            "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],  # it calls alembic
        }
        command = [sys.executable, "-m", "nbgrader", *arguments]
        began = time.perf_counter()
        done = subprocess.run(command, cwd=self.folder, env=os.environ | private, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
        return time.perf_counter() - began

    def autograde(self, student="*"):
        """Grade all that is submitted, or one student's, anew; returns the seconds it took."""
        shutil.rmtree(self.folder / "autograded", ignore_errors=True)
        shutil.copy(self._untouched, self._gradebook)
        return self.run("autograde", self.assignment, "--student", student)

    def scores(self):
        """{student: points} as the gradebook has them."""
        self.run("export")
        with open(self.folder / "grades.csv", encoding="utf-8", newline="") as file:
            return {row["student_id"]: float(row["score"] or 0) for row in csv.DictReader(file)}
