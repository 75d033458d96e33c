"""`clearformer check`, without the reading of options."""

from __future__ import annotations

from pathlib import Path

from clearformer.checks import progress
from clearformer.grading.report import COULD_NOT_RUN, as_json, console, exit_status, plain, print_report, status_line
from clearformer.grading.self_check import check_notebook


def check(paths, deadline, json_file=None):
    """Check the notebooks at `paths`, print how they stand, remember what is passed; returns the exit status.

    deadline: seconds for each cell; json_file: where the JSON goes, "-" for the standard output, which the
    text for people then leaves.
    """
    to_stdout = str(json_file) == "-"
    to = console(error=to_stdout)
    reports, notices = [], []
    for path in paths:
        with status_line() as say:
            report = check_notebook(path, deadline, lambda text, name=Path(path).name: say(f"{name}: {text}"))
        reports.append(report)
        print_report(report, to)
        passed = [result.id for result in report.results if result.status == "passed"]
        notices.append(progress.record(*passed) if passed else "")
    for notice in dict.fromkeys(filter(None, notices)):
        to.print(plain(notice))
    if to_stdout:
        print(as_json(reports))
    elif json_file:
        try:
            Path(json_file).write_text(as_json(reports) + "\n", encoding="utf-8")
        except OSError as error:
            console(error=True).print(plain(f"The JSON could not be written to {json_file}: {error.strerror}."))
            return COULD_NOT_RUN
    return exit_status(reports)
