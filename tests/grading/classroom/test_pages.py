"""The pages about a class: what they say, and that nothing from a notebook becomes part of the page itself."""

import base64
import datetime
import hashlib
import itertools
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from clearformer.checks import catalogue
from clearformer.grading.classroom.documents import for_people, lessons_in, write_reports
from clearformer.grading.classroom.pages import overview, render
from clearformer.grading.report import WORDS

FULL = {"level": "full", "layers": ["mounts", "network", "system calls"]}
NONE = {"level": "none", "layers": []}
DATE = datetime.date(2026, 3, 9)
VOID = {"meta", "wbr", "input", "br"}
HOSTILE = [
    "<script>window.broken=1</script>",
    "</pre></td></table></title></style></script><script>window.broken=1</script>",
    "\"><img src=x onerror='window.broken=1'>",
    "' onmouseover=window.broken=1 x='",
    "<!-- ]]> <![CDATA[ -->",
    "{{ 7 * 7 }}{% raw %}{{",
    "&lt;script&gt; &#60;b&#62; &amp;",
    "javascript:alert(1)",
    "\0\x1b[31mred\x07\x9b",
    "\u202egnp.exe\u2066 \u2028 \ufeff",
    "\udcff \ud800",
]


class Page(HTMLParser):
    """What a page is made of. skeleton: (element, names of its attributes) in order; text: {element: texts in it}."""

    def __init__(self, html):
        super().__init__()
        self.skeleton, self.elements, self.open, self.texts = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.skeleton.append((tag, tuple(name for name, _ in attributes)))
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.skeleton.append((tag, tuple(name for name, _ in attributes)))
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open and "script" not in self.open:
            self.texts.append(data)

    handle_comment = unknown_decl = handle_pi = lambda self, data: self.skeleton.append(("something else", data))

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.texts))

    def all(self, tag, attribute):
        return [values[attribute] for name, values in self.elements if name == tag and attribute in values]


def pages_of(records, sandbox=FULL, date=DATE):
    shown = for_people(sorted(records, key=lambda record: (record["student"], record["path"])))
    return {path: Page(html) for path, html in render(shown, lessons_in(shown), sandbox, date)}


def view_of(records):
    shown = for_people(records)
    own = {record["page"]: [record] for record in shown}
    (view,) = overview.lesson_views(own, lessons_in(shown))
    return view


def hostile(make_record, answer, text):
    """Records with `text` wherever text may come from a notebook, a file's name or a course of one's own."""
    wrong = {**answer("causal_mask", "transposed"), "message": f"{text}\n\n{text}", "misconception": text}
    wrong["rows"] = [[text, text], [text, "failed"]]
    odd = {**answer("softmax"), "status": text, "message": text}
    return [
        make_record(text, {"causal_mask": wrong, "softmax": odd}, trouble=[text], path=text),
        make_record(text, {"causal_mask": wrong}, lesson=f"lesson {text}", path=f"{text} other"),
        make_record(text + "2", {}, lesson="", path=text, error=text),
    ]


# --- what strangers cannot do ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("sandbox", [FULL, NONE], ids=["full", "none"])
def test_no_text_of_a_notebook_becomes_an_element_or_an_attribute(make_record, answer, text, sandbox):
    plain = pages_of(hostile(make_record, answer, "plain"), sandbox)
    evil = pages_of(hostile(make_record, answer, text), sandbox)
    assert [page.skeleton for page in evil.values()] == [page.skeleton for page in plain.values()]
    shown = for_people(hostile(make_record, answer, text))[0]["student"]
    for page in evil.values():
        assert re.sub(r"\s+", " ", shown) in page.text
        assert "window.broken" not in "".join(page.all("a", "href"))


def test_an_exercise_of_another_course_cannot_break_a_page_either(make_record, answer):
    for text in HOSTILE:
        shown = for_people([make_record("ada", {"softmax": answer("softmax")}), make_record("bob", {}, error=text)])
        for record in shown:
            record["exercises"] = [{**each, "id": text.replace("\0", "")} for each in record["exercises"]]
        for path, html in render(shown, lessons_in(shown), FULL, DATE):
            page = Page(html)
            assert not any(name.startswith("on") for _, names in page.skeleton for name in names), path
            tags = [tag for tag, _ in page.skeleton]
            assert (tags.count("img"), tags.count("script")) == (0, path == "index.html"), path


@pytest.mark.parametrize("text", HOSTILE)
def test_text_arrives_as_it_is_but_for_characters_that_steer(make_record, answer, text):
    pages = pages_of(hostile(make_record, answer, text))
    seen = "".join(page.text for page in pages.values())
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", seen)
    if text.isprintable():
        assert text in seen
    else:
        assert text.encode("unicode_escape").decode()[:4] in seen


def test_a_page_runs_and_loads_only_what_is_written_in_it(class_of):
    for path, page in pages_of(class_of(16)).items():
        (policy,) = (values["content"] for tag, values in page.elements if values.get("http-equiv"))
        rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
        scripts = "script" in [tag for tag, _ in page.skeleton]
        assert scripts == (path == "index.html")
        assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
        assert set(rules) == {"style-src", "script-src"}
        assert not any(name == "style" or name.startswith("on") for _, names in page.skeleton for name in names)
        hrefs = [href for href in page.all("a", "href") if not href.startswith("#")]
        assert all(re.fullmatch(r"(\.\./)?[a-z]+[a-z0-9/-]*\.(html|csv|json|xml)(#[\w-]+)?", href) for href in hrefs)
        assert not page.all("img", "src") + page.all("link", "href") + page.all("script", "src")


def test_the_hashes_in_the_policy_are_those_of_the_style_and_the_script(class_of):
    shown = for_people(class_of(4))
    for path, html in render(shown, lessons_in(shown), FULL, DATE):
        for tag in ("style", "script"):
            inside = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
            assert len(inside) == (tag == "style" or path == "index.html")
            for content in inside:
                digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
                assert f"{tag}-src &#39;sha256-{digest}&#39;" in html


# --- how a page is built -------------------------------------------------------------------------------------


def test_every_link_leads_somewhere(class_of, tmp_path):
    write_reports(class_of(31), tmp_path, FULL, DATE)
    pages = {path.resolve(): Page(path.read_text()) for path in tmp_path.rglob("*.html")}
    ids = {path: [values["id"] for _, values in page.elements if "id" in values] for path, page in pages.items()}
    assert len(pages) == 32
    for path, page in pages.items():
        assert len(ids[path]) == len(set(ids[path]))
        for href in page.all("a", "href"):
            file, _, anchor = href.partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target.is_file(), href
            assert not anchor or anchor in ids[target], href
        for _, values in page.elements:
            assert set(values.get("aria-labelledby", "").split()) <= set(ids[path])


def test_headings_are_in_order_and_landmarks_are_there(class_of, make_record, answer):
    several = [make_record("ada", {name: answer(name)}, catalogue.find(name).lesson) for name in catalogue.names()[:6]]
    for page in pages_of(class_of(16) + several, NONE).values():
        levels = [int(tag[1]) for tag, _ in page.skeleton if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        tags = [tag for tag, _ in page.skeleton]
        assert tags.count("main") == tags.count("footer") == tags.count("header") == 1
        assert page.elements[[tag for tag, _ in page.skeleton].index("a")][1]["href"] == "#main"


# --- what they say -------------------------------------------------------------------------------------------


def test_the_counts_are_those_of_the_records(class_of):
    records = class_of(61)
    graded = [record for record in records if "error" not in record]
    view = view_of(records)
    kinds = {"passed": ["passed"], "wrong": ["failed"], "stopped": ["error", "timeout"]}
    kinds["empty"] = ["unanswered", "missing"]
    assert len(view.rows) == len(graded) < len(records)
    for i, exercise in enumerate(view.exercises):
        statuses = [record["exercises"][i]["status"] for record in graded]
        assert exercise.counts == {kind: sum(s in which for s in statuses) for kind, which in kinds.items()}
        assert sum(map(exercise.share, exercise.counts)) == pytest.approx(100)
        assert exercise.before("empty") + exercise.share("empty") == pytest.approx(100)
    points = [record["points"] for record in graded]
    assert sum(bar.count for bar in view.bars) == len(points)
    assert all(bar.count == points.count(bar.low) for bar in view.bars)
    assert view.all_passed == points.count(15)


def test_who_may_need_help_has_under_half_of_the_points_or_nothing_written(make_record, answer):
    names = ["softmax", "causal_mask", "padding_mask"]  # 2, 1 and 1 points
    empty = {**answer("softmax"), "status": "unanswered", "points": 0}

    def handed_in(student, *passed):
        return make_record(student, {name: answer(name) if name in passed else empty for name in names})

    wrong = make_record("wrong", {name: answer(name, catalogue.find(name).misconceptions[0].slug) for name in names})
    rest = [handed_in("half", "softmax"), handed_in("one", "causal_mask"), handed_in("none"), handed_in("all", *names)]
    view = view_of([*rest, wrong])
    assert [row.student.text for row in view.behind] == ["wrong", "one"]
    assert [row.student.text for row in view.nothing_written] == ["none"]


@pytest.mark.parametrize("max_points", [0, 1, 15, 16, 40, 1000])
def test_bars_cover_every_number_of_points_once(max_points):
    bars = overview._bars(list(range(max_points + 1)), max_points)
    assert [p for bar in bars for p in range(bar.low, bar.high + 1)] == list(range(max_points + 1))
    assert [bar.count for bar in bars] == [bar.high - bar.low + 1 for bar in bars]
    assert len(bars) <= overview.MOST_BARS


def test_mistakes_are_counted_and_said_in_the_words_of_the_catalogue(make_record, answer):
    slugs = ["one-step-ahead", "transposed", "transposed", "not-itself", "transposed", "not-itself", ""]
    records = [make_record(f"s{i}", {"causal_mask": answer("causal_mask", slug)}) for i, slug in enumerate(slugs)]
    found = view_of(records).mistakes
    assert [(one.slug, [link.text for link in one.students]) for one in found] == [
        ("transposed", ["s1", "s2", "s4"]),
        ("not-itself", ["s3", "s5"]),
        ("one-step-ahead", ["s0"]),
    ]
    words = {wrong.slug: wrong.says for wrong in catalogue.find("causal_mask").misconceptions}
    assert [one.says for one in found] == [words[one.slug] for one in found]
    assert words["transposed"] in pages_of(records)["index.html"].text


@pytest.mark.parametrize("exercise", catalogue.exercises(), ids=lambda exercise: exercise.name)
def test_the_words_for_a_mistake_are_one_paragraph(exercise):
    # overview.says takes the first paragraph of a message for them, and a message begins with them (test_catalogue).
    assert [wrong.slug for wrong in exercise.misconceptions if overview.says(wrong.says) != wrong.says] == []


def test_the_class_page_names_everybody_and_every_result_in_words(class_of):
    records = class_of(121)
    text = pages_of(records)["index.html"].text
    assert all(record["student"] in text for record in records)
    assert all(words in text for words in WORDS.values())
    assert "Could not be graded: 8" in text
    assert "9 March 2026" in text
    assert text.index("Could not be graded") < text.index("Who may need help") < text.index("Most frequent mistakes")


def test_a_student_reads_what_a_learner_is_told(make_record, answer):
    wrong = answer("softmax", "axis-not-kept")
    records = [make_record(who, {"softmax": wrong}, trouble=["Cell 9 stopped."]) for who in ("ada", "bob", "cem")]
    pages = pages_of(records)
    (path,) = (path for path in pages if "bob" in path)
    text = pages[path].text
    assert re.sub(r"\s+", " ", wrong["message"]) in text
    assert "known mistake: axis-not-kept" in text
    assert "Cell 9 stopped." in text
    assert "0 of 2 points" in text
    for name, outcome in wrong["rows"]:
        assert re.search(re.escape(name) + r"\s*" + outcome, text), name
    assert pages[path].all("a", "href")[1] == "../index.html"


def test_a_students_page_names_nobody_else(make_record, answer):
    names = ("Ada Quill", "Bob Frost", "Cem Yard")
    shown = for_people([make_record(who, {"softmax": answer("softmax")}) for who in names])
    pages = [html for path, html in render(shown, lessons_in(shown), FULL, DATE) if path.startswith("students/")]
    found = [{name for name in names if re.search(name.replace(" ", ".?"), html, re.IGNORECASE)} for html in pages]
    assert sorted(found, key=min) == [{name} for name in names]


def test_without_a_sandbox_every_page_says_so(class_of):
    for path, page in pages_of(class_of(3), NONE).items():
        assert "without a sandbox" in page.text
        assert "rights of whoever started the grading" in page.text, path
    for page in pages_of(class_of(3), FULL).values():
        assert "without a sandbox" not in page.text.lower()
        assert "mounts, network, system calls" in page.text


def test_a_student_with_two_notebooks_has_one_page_and_a_row_for_each(make_record, answer):
    records = [
        make_record("ada", {"softmax": answer("softmax")}, path="ada/first.ipynb"),
        make_record("ada", {"softmax": answer("softmax", "wrong-axis")}, path="ada/second.ipynb"),
    ]
    pages = pages_of(records)
    assert len(pages) == 2
    assert "ada/first.ipynb" in pages["index.html"].text and "ada/second.ipynb" in pages["index.html"].text
    assert "the one with the most points counts" in pages["index.html"].text

    records[1] = make_record("ada", {"split_heads": answer("split_heads")}, lesson="03_multi_head_attention")
    text = pages_of(records)["index.html"].text
    assert "the one with the most points counts" not in text and "ada/first.ipynb" not in text


def test_the_pages_are_made_without_pytorch(tmp_path):
    code = (
        "import sys; from clearformer.grading.classroom import documents\n"
        "each = {'id': 'MultiHeadAttention', 'status': 'failed', 'misconception': 'one-head', 'message': 'a\\n\\nb',"
        " 'points': 0, 'max_points': 4, 'seconds': 0.1, 'rows': []}\n"
        "record = {'student': 'a', 'path': 'p', 'lesson': '03_multi_head_attention', 'points': 0, 'max_points': 4,"
        " 'seconds': 0.1, 'exercises': [each], 'trouble': []}\n"
        "documents.write_reports([record], sys.argv[1], {'level': 'full', 'layers': []})\n"
        "print([name for name in ('torch', 'matplotlib', 'IPython') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
