"""The command `clearformer`. Each command imports what it needs when it runs, so that the others start at once."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="clearformer",
    help="The Transformer, built by hand: a course in JupyterLab.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context):
    """Open the course in JupyterLab. Options are passed on to it, for example --port 9999 --no-browser."""
    from clearformer.lab import CourseNotFound, run

    try:
        run(context.args)
    except CourseNotFound as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(2) from None


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False):
    """Check this machine and the environment: what is fine, what is not, what to do."""
    from clearformer.doctor import examine, print_json, print_table

    findings = examine()
    (print_json if as_json else print_table)(findings)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@app.command(name="list")
def list_course(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False):
    """The lessons and exercises, with minutes, difficulty, points, and which of them you have passed.

    Example: clearformer list
    """
    from clearformer.grading.course_list import course_list

    course_list(as_json)


@app.command()
def check(
    notebooks: Annotated[list[Path], typer.Argument(help="Notebooks of exercises.", show_default=False)],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON too; - prints it.")
    ] = None,
    deadline: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long one cell may run. A check may take 20 at most.")
    ] = 60.0,
):
    """Run your own notebooks from the top and say how each exercise stands.

    Every code cell is run in order, in a process of its own and in the
    notebook's folder; check cells are left out. Each answer is judged right
    after its cell. A cell that fails, never ends or ends Python costs its own
    exercise and no other. What is passed is remembered: see clearformer list.

    The code runs with your rights: check only notebooks that you trust.

    Example: clearformer check exercises/02_attention.ipynb --json report.json

    Exit status: 0, every exercise is passed; 1, some are not; 2, a notebook
    could not be checked.
    """
    from clearformer.grading.command import check as check_notebooks

    raise typer.Exit(check_notebooks(notebooks, deadline, json_file))


@app.command()
def grade(
    submissions: Annotated[
        Path | None,
        typer.Argument(help="A notebook, a folder of notebooks, or a folder per student.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the reports go.", show_default=False)
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes that grade; one per processor without this.")
    ] = None,
    deadline: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="For one cell or one check. A notebook may take 5 times that."),
    ] = 10.0,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Grade on a Dask cluster: tcp://host:8786.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what the folder holds already.")] = False,
    sandbox: Annotated[
        str, typer.Option(metavar="LEVEL", help="full; none: no protection; show: say what there is here, and end.")
    ] = "full",
):
    """Grade the notebooks of a class, of people you do not know.

    Each notebook runs in a sandbox: no network, no files but its own, no other
    programs. It never gets to see a check or an answer: the verdict is reached
    outside, in another process. Where this machine cannot isolate, nothing is
    run: clearformer grade --sandbox show says what is missing.

    The folder then holds index.html for people, with a page for each student;
    report.json, report.csv, grades.csv, junit.xml and Gradescope's results.json
    for programs. Ctrl-C loses no finished result: --resume goes on.

    Example: clearformer grade submitted --out report --jobs 2

    Exit status: 0, every notebook was graded, whatever its points; 2, some
    could not be graded, or nothing was run; 130, stopped by Ctrl-C.
    """
    from clearformer.grading.classroom.command import run

    raise typer.Exit(run(submissions, out, jobs, deadline, scheduler, resume, sandbox))


@app.command(name="new-exercise")
def new_exercise(
    name: Annotated[str, typer.Argument(help="The function to write, or the variable to predict.", show_default=False)],
    lesson: Annotated[str, typer.Option(metavar="LESSON", help="For example 02_attention.", show_default=False)],
    kind: Annotated[str, typer.Option(help="write, predict or hunt.")] = "write",
    course: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The course's folder, where it is not found by itself.")
    ] = None,
):
    """Add an exercise to a lesson: a small one that works, to be changed into yours.

    Writes its file in the catalogue, lists it, and adds task, answer and check
    to the lesson's solutions. Then it says what to change and how to try it.
    docs/new_exercise.md goes through it step by step.

    Example: clearformer new-exercise cosine_similarity --lesson 02_attention
    """
    from clearformer.authoring.new_exercise import command

    raise typer.Exit(command(name, lesson, kind, course))


def main():
    app()


if __name__ == "__main__":
    main()
