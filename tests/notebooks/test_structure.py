"""What every notebook of the course promises its reader."""

import ast
import functools
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from clearformer.authoring.notebook import machine_traces, meant_to_fail, read, repository
from clearformer.authoring.refresh import is_normal
from clearformer.checks import catalogue

ROOT = Path(__file__).parents[2]
LESSONS = {lesson.id: lesson for lesson in catalogue.LESSONS}
LARGEST_FILE = 1_500_000  # bytes
LONGEST_CELL = 40  # lines
RUN = [f"{folder}/{name}" for folder in ("notebooks", "solutions") for name in LESSONS]
ALL = [*RUN, *(f"exercises/{name}" for name in LESSONS)]


@functools.cache
def notebook(name):
    return read(path_of(name))


def path_of(name):
    return ROOT / f"{name}.ipynb"


def code_cells(name):
    return [cell for cell in notebook(name).cells if cell.cell_type == "code"]


def prose(name):
    """The texts of the markdown cells without code and maths."""
    cells = [cell.source for cell in notebook(name).cells if cell.cell_type == "markdown"]
    return [re.sub(r"(```|~~~).*?\1|`[^`]*`|\$\$.*?\$\$|\$[^$]+\$", "", text, flags=re.DOTALL) for text in cells]


def for_each(names):
    return pytest.mark.parametrize("name", names)


# ---- all of them ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["notebooks", "solutions", "exercises"])
def test_each_folder_holds_the_lessons_of_the_catalogue_and_nothing_else(folder):
    assert sorted(path.stem for path in (ROOT / folder).glob("*.ipynb")) == sorted(LESSONS)


@for_each(ALL)
def test_the_file_is_in_normal_form_and_small(name):
    assert is_normal(path_of(name)), f"run: python -m clearformer.authoring.refresh {name}.ipynb"
    assert path_of(name).stat().st_size < LARGEST_FILE


@for_each(ALL)
def test_nothing_names_a_folder_of_one_machine(name):
    folders = re.compile(
        r"(?:^|[\s\"'(=])((?:/(?:home|Users|root|tmp|usr|var|opt|mnt)|~|[A-Z]:\\)[/\\]\S*)", re.MULTILINE
    )
    for cell in notebook(name).cells:
        assert not folders.findall(cell.source)
        assert str(repository()) not in cell.source
        assert cell.cell_type != "code" or not machine_traces(cell, path_of(name))


@for_each(ALL)
def test_the_prose_does_not_shout(name):
    assert [text for text in prose(name) if re.search(r"!(?!\[)", text)] == []


# ---- links ---------------------------------------------------------------------------------------------------------

LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)[^)]*\)")


def anchors(name):
    """The anchors that JupyterLab gives the headings: the text with hyphens for spaces."""
    cells = [cell.source for cell in notebook(name).cells if cell.cell_type == "markdown"]
    headings = re.findall(r"^#+ +(.+?) *$", "\n".join(cells), re.MULTILINE)
    return {re.sub(r"[`*_]", "", heading).replace(" ", "-") for heading in headings}


def broken_links(name):
    return [link for text in prose(name) for link in LINK.findall(text) if not leads_somewhere(link, path_of(name))]


def leads_somewhere(link, source):
    parts = urlsplit(link)
    if parts.scheme:
        return parts.scheme == "https"
    target = (source.parent / unquote(parts.path)).resolve() if parts.path else source
    if parts.path.startswith("/") or not target.is_file() or not target.is_relative_to(ROOT):
        return False
    inside = unquote(parts.fragment)
    return not inside or inside in anchors(str(target.relative_to(ROOT).with_suffix("")))


@for_each(ALL)
def test_every_link_leads_somewhere(name):
    assert broken_links(name) == []


@pytest.mark.parametrize("link", ["00_nothing.ipynb", "/README.md", "#No-such-heading", "http://a.org", "../..", ""])
def test_a_link_that_leads_nowhere_is_found(link):
    assert LINK.findall(f"see [this]({link or 'x'})") == [link or "x"]
    assert not leads_somewhere(link or "x", ROOT / "notebooks" / "00_start_here.ipynb")


# ---- what was run --------------------------------------------------------------------------------------------------


@for_each(RUN)
def test_every_cell_was_run_from_top_to_bottom(name):
    counts = [cell.execution_count for cell in code_cells(name)]
    assert counts == list(range(1, len(counts) + 1))


@for_each(RUN)
def test_a_cell_failed_exactly_where_it_is_meant_to(name):
    for cell in code_cells(name):
        failed = any(output.output_type == "error" for output in cell.outputs)
        assert failed == meant_to_fail(cell), cell.source


class Pictures(HTMLParser):
    """Collects pictures that say nothing to someone who cannot see them, and those that lie elsewhere."""

    def __init__(self, html):
        super().__init__()
        self.mute, self.elsewhere, self.count = [], [], 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "img":
            named = (found.get("alt") or "").strip()
        elif tag == "svg":
            named = found.get("aria-label") or found.get("aria-labelledby") or found.get("aria-hidden") == "true"
        else:
            return
        self.count += 1
        if not named:
            self.mute.append(self.get_starttag_text()[:80])
        if tag == "img" and not (found.get("src") or "").startswith("data:image/"):
            self.elsewhere.append(found.get("src"))


def pictures(cell):
    """The pictures in a cell's outputs; one that is not inside HTML has no text alternative."""
    data = [output.get("data", {}) for output in cell.outputs]
    found = Pictures("\n".join(mimes.get("text/html", "") for mimes in data))
    found.mute += [kind for mimes in data for kind in mimes if kind.startswith("image/")]
    return found


@for_each(RUN)
def test_every_picture_has_words_and_is_inside_the_notebook(name):
    for cell in code_cells(name):
        assert (pictures(cell).mute, pictures(cell).elsewhere) == ([], []), cell.source
    assert [text for text in prose(name) if re.search(r"!\[\s*\]|<img", text)] == []


@pytest.mark.parametrize(
    ("html", "mute", "elsewhere"),
    [
        ('<img alt="A line that falls." src="data:image/png;base64,AA">', 0, 0),
        ('<p><img alt=" " src="data:image/png;base64,AA"></p>', 1, 0),
        ('<img src="data:image/png;base64,AA"/>', 1, 0),
        ('<img alt="A line." src="https://example.org/a.png">', 0, 1),
        ('<svg width="3"></svg><svg aria-label="A line."></svg>', 1, 0),
    ],
)
def test_a_picture_without_words_is_found(html, mute, elsewhere):
    found = Pictures(html)
    assert (len(found.mute), len(found.elsewhere)) == (mute, elsewhere)


# ---- lessons -------------------------------------------------------------------------------------------------------


@for_each(LESSONS)
def test_a_lesson_opens_with_its_aim_its_needs_its_time_and_a_figure(name):
    lesson = f"notebooks/{name}"
    first = notebook(lesson).cells[0].source
    assert first.startswith("# ")
    opening = "\n\n".join(cell.source for cell in notebook(lesson).cells[:2] if cell.cell_type == "markdown")
    assert re.search(r"^\*\*You will be able to\*\* \S", opening, re.MULTILINE)
    assert re.search(r"^\*\*You need\*\* \S", opening, re.MULTILINE)
    assert re.findall(r"^\*\*Time\*\*: about (\d+) minutes", opening, re.MULTILINE) == [str(LESSONS[name].minutes)]
    assert any(pictures(cell).count for cell in code_cells(lesson)[:2])


@for_each(LESSONS)
def test_a_lesson_closes_with_mistakes_summary_reading_and_the_way_on(name):
    texts = prose(f"notebooks/{name}")
    headings = re.findall(r"^#+ +(.+)$", "\n".join(texts), re.MULTILINE)
    assert any(re.match(r"(\d+\. )?What people get wrong", heading) for heading in headings)
    assert "Summary" in headings
    assert re.search(r"^(#+ |\*\*)(Read on|Further reading)", "\n".join(texts), re.MULTILINE)
    following = [*LESSONS][[*LESSONS].index(name) + 1 :][:1]
    links = LINK.findall(texts[-1])
    assert notebook(f"notebooks/{name}").cells[-1].cell_type == "markdown"
    assert f"../exercises/{name}.ipynb" in links
    assert {f"{each}.ipynb" for each in following} <= set(links)


@for_each(LESSONS)
def test_a_lesson_has_short_cells_and_something_to_turn(name):
    cells = code_cells(f"notebooks/{name}")
    assert [cell.source for cell in cells if len(cell.source.splitlines()) > LONGEST_CELL] == []
    assert any(re.search(r"\b(explore|attention_map)\(", cell.source) for cell in cells)


# ---- exercises and their solutions ---------------------------------------------------------------------------------


def graded(name):
    """(index of the cell, its grade_id) for each answer and check cell."""
    numbered = enumerate(notebook(name).cells)
    return [(index, cell.metadata.nbgrader.grade_id) for index, cell in numbered if "nbgrader" in cell.metadata]


@for_each([name for name in ALL if not name.startswith("notebooks")])
def test_answers_and_checks_pair_up_in_the_order_of_the_catalogue(name):
    exercises = LESSONS[name.split("/")[1]].exercises
    places = graded(name)
    assert [grade_id for _, grade_id in places] == [part for each in exercises for part in (each, f"check_{each}")]
    for (answer, _), (check, _) in zip(places[::2], places[1::2], strict=True):
        assert check == answer + 1


def heading_of(exercise, number):
    plural = ("" if exercise.points == 1 else "s", "" if exercise.minutes == 1 else "s")
    return (
        rf"## {number}\. .*\b{exercise.name}\b.*\n\n"
        rf"\*\*{exercise.kind.title()}\*\* · {exercise.points} point{plural[0]} · "
        rf"difficulty {exercise.difficulty} of 5 · about {exercise.minutes} minute{plural[1]}\n"
    )


@for_each(LESSONS)
def test_each_exercise_has_its_number_its_points_its_difficulty_and_its_minutes(name):
    cells = notebook(f"solutions/{name}").cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown") + "\n"
    exercises = catalogue.exercises(name)
    found = [re.search(heading_of(each, number), text) for number, each in enumerate(exercises, 1)]
    assert [each.name for each, match in zip(exercises, found, strict=True) if match is None] == []
    assert [match.start() for match in found] == sorted(match.start() for match in found)
    assert len(re.findall(r"· difficulty \d", text)) == len(exercises)
    assert re.findall(r"[Aa]bout (\d+) minutes?", cells[0].source) == [str(sum(each.minutes for each in exercises))]


@for_each(LESSONS)
def test_each_check_gives_the_points_of_the_catalogue_and_passed(name):
    cells = {
        cell.metadata.nbgrader.grade_id: cell for cell in code_cells(f"solutions/{name}") if "nbgrader" in cell.metadata
    }
    for exercise in catalogue.exercises(name):
        cell = cells[f"check_{exercise.name}"]
        called = f'{exercise.name}, "{exercise.name}"' if exercise.kind == "predict" else exercise.name
        assert cell.source == f"check({called})"
        assert cell.metadata.nbgrader.points == exercise.points
        shown = cell.outputs[0].data["text/plain"]
        assert shown.startswith(f"{exercise.name}: passed ({exercise.points} of {exercise.points}")


@for_each(LESSONS)
def test_each_stub_says_what_to_write(name):
    cells = {
        cell.metadata.nbgrader.grade_id: cell for cell in code_cells(f"exercises/{name}") if "nbgrader" in cell.metadata
    }
    for exercise in catalogue.exercises(name):
        if exercise.kind != "predict":
            tree = ast.parse(cells[exercise.name].source)
            stub = next(node for node in tree.body if getattr(node, "name", "") == exercise.name)
            assert ast.get_docstring(stub), exercise.name


@for_each(LESSONS)
def test_exercises_lead_back_to_their_lesson(name):
    links = [link for text in prose(f"exercises/{name}") for link in LINK.findall(text)]
    assert f"../notebooks/{name}.ipynb" in links
