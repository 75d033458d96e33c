"""The command `clearformer`. Each command imports what it needs when it runs, so that the others start at once."""

from pathlib import Path
from typing import Annotated

import typer

from clearformer.data.command import app as data_app

app = typer.Typer(
    name="clearformer",
    help="The Transformer, built by hand: a course in JupyterLab.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data")


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


@app.command()
def train(
    recipe: Annotated[
        str,
        typer.Argument(metavar="CONFIG", help="A recipe of the course by name, or a TOML file.", show_default=False),
    ],
    into: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the run is kept.", show_default="runs/NAME")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, metavar="M", help="Stop after M minutes.", show_default="the recipe's")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Stop after N steps.", show_default="the recipe's")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Of weights, batches, dropout.", show_default="the recipe's")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processor cores to use.", show_default="all")
    ] = None,
):
    """Train a translator from English to German.

    tiny_translation needs nothing but the course and takes minutes; multi30k
    needs its data (clearformer data multi30k) and takes an hour or more without
    a GPU. A recipe of your own: copy one of reference/clearformer/training/recipes.

    The folder holds checkpoints, the losses and, in the end, the translator.
    The run may be stopped at any moment: --resume goes on to the same result.
    On several processes or GPUs: torchrun --nproc-per-node 2 -m clearformer.cli
    train ... gives the same training.

    Example: clearformer train tiny_translation --minutes 3

    Exit status: 0, done; 2, it could not be; 130, stopped by Ctrl-C.
    """
    from clearformer.training.command import train as train_recipe

    raise typer.Exit(train_recipe(recipe, into, minutes, steps, seed, resume, threads))


@app.command()
def translate(
    text: Annotated[
        list[str] | None,
        typer.Argument(
            help="Sentences, each in quotes. Without any, the lines of the standard input.", show_default=False
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A run's folder.", show_default="the one that ships")
    ] = None,
    beam: Annotated[
        int | None, typer.Option(min=1, max=100, metavar="N", help="Beam size; 1 is greedy.", show_default="its own")
    ] = None,
):
    """Translate English sentences to German.

    The translator that ships was trained on captions of photographs. It knows
    people, dogs, bikes and beaches, and little else.

    Example: clearformer translate "A man is riding a bike."

    Exit status: 0, done; 2, it could not be.
    """
    from clearformer.translator.command import translate as translate_texts

    raise typer.Exit(translate_texts(text or [], model, beam))


@app.command()
def evaluate(
    model: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A run's folder.", show_default="the one that ships")
    ] = None,
    test_set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME", help="A test set; may be given again.", show_default="all"),
    ] = None,
    beam: Annotated[
        int | None, typer.Option(min=2, max=100, metavar="N", help="Beam size.", show_default="its own")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the scores as JSON too; - prints it.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep the translations there.", show_default=False)
    ] = None,
):
    """Score a translator: BLEU and chrF by sacreBLEU, greedy and beam search.

    On Multi30k (clearformer data multi30k) each score is computed twice: on
    plain text, and on lower-cased tokenised text, as published figures are.
    sacreBLEU's signatures below the table say exactly how.

    Example: clearformer evaluate --set test_2016_flickr

    Exit status: 0, done; 2, it could not be.
    """
    from clearformer.translator.command import evaluate as evaluate_translator

    raise typer.Exit(evaluate_translator(model, test_set or [], beam, json_file, keep))


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
