"""The pages about a class in Chromium: opened from disk, by keyboard, light and dark, narrow and wide."""

import datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from clearformer.grading.classroom.documents import write_reports

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("pages")]  # its tests share what they opened

DATE = datetime.date(2026, 3, 9)
EVIL = "<img src=http://example.org/x onerror='window.broken=1'><script>window.broken=1</script>\u202e"
VIOLATIONS = """async () => (await axe.run()).violations.map(
    (each) => `${each.impact} ${each.id}: ${each.nodes[0].html.slice(0, 200)} ${each.nodes[0].failureSummary}`)"""
PAGES = ["index.html", "students/*.html"]


@pytest.fixture(scope="module")
def folder(class_of, make_record, answer, tmp_path_factory):
    """Reports on 30 students, one of them hostile."""
    out = tmp_path_factory.mktemp("report")
    wrong = {**answer("softmax", "wrong-axis"), "message": EVIL, "rows": [[EVIL, "failed"]]}
    hostile = make_record(EVIL, {"softmax": wrong}, path=EVIL, trouble=[EVIL])
    ungraded = make_record(f"{EVIL}2", {}, lesson="", error=EVIL)
    write_reports([*class_of(28), hostile, ungraded], out, {"level": "none", "layers": []}, DATE)
    return out


@pytest.fixture
def opened(chromium):
    """opened(path, …) -> playwright's page, with `requests`: what it has asked for beside itself."""
    contexts = []

    def open_page(path, width=1280, theme="light", **settings):
        size = {"width": width, "height": 900}
        contexts.append(chromium.new_context(viewport=size, color_scheme=theme, **settings))
        page = contexts[-1].new_page()
        page.requests = []
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


def names(page):
    return page.locator(".students tbody tr:visible th a").all_inner_texts()


def points(page):
    return [int(text) for text in page.locator(".students tbody tr:visible td:nth-child(2)").all_inner_texts()]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("pattern", PAGES)
def test_axe_finds_nothing(folder, opened, pattern, theme, width):
    import axe_playwright_python

    page = opened(max(folder.glob(pattern), key=lambda path: path.stat().st_size), width, theme)
    page.locator("details:not([open]) > summary").first.click()
    page.evaluate(Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8"))
    assert page.evaluate(VIOLATIONS) == []


def test_a_page_is_never_wider_than_the_window(folder, opened):
    page = opened(folder / "index.html")
    for path in [folder / "index.html", *folder.glob("students/img-src*"), *sorted(folder.glob("students/*"))[:5]]:
        page.goto(path.as_uri())
        for width in (320, 700, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_hostile_notebooks_run_nothing_and_ask_nobody(folder, opened):
    for path in [folder / "index.html", *folder.glob("students/img-src*")]:
        page = opened(path)
        assert page.evaluate("window.broken") is None
        assert page.locator("img, iframe, object, link, base").count() == 0
        assert page.locator("script").count() == (path.name == "index.html")
        assert "<script>window.broken=1</script>" in page.locator("main").inner_text()
        assert page.requests == [path.as_uri()]


def test_even_a_mistake_in_escaping_would_run_nothing(folder, opened):
    page = folder / "index.html"
    html = page.read_text()
    smuggled = (
        "<script>window.broken=1</script><img src='http://127.0.0.1:9/x' onerror='window.broken=1'>"
        "<p id=styled style='color:rgb(1,2,3)' >x</p><style>#styled{display:none}</style><base href='http://127.0.0.1:9/'>"
    )
    harmed = page.with_name("harmed.html")
    unprotected = page.with_name("unprotected.html")
    harmed.write_text(html.replace("<main", smuggled + "<main", 1))
    unprotected.write_text(harmed.read_text().replace('http-equiv="Content-Security-Policy"', "", 1))
    reached = {}
    for path in (harmed, unprotected):
        shown = opened(path)
        style = "getComputedStyle(document.getElementById('styled'))"
        reached[path] = [shown.evaluate("window.broken"), shown.evaluate(f"[{style}.color, {style}.display].join()")]
        path.unlink()
    assert reached[unprotected] == [1, "rgb(1, 2, 3),none"]  # so the test can fail
    assert reached[harmed] == [None, "rgb(31, 35, 40),block"]


def test_the_table_sorts_by_keyboard_and_says_so(folder, opened):
    page = opened(folder / "index.html")
    before = names(page)
    head = page.locator(".students thead th").nth(1)
    assert head.get_attribute("aria-sort") is None
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(head).to_have_attribute("aria-sort", "ascending")
    expect(page.get_by_role("status")).to_have_text("Sorted by Points of 15, ascending.")
    assert points(page) == sorted(points(page))
    assert sorted(names(page)) == sorted(before) != names(page)
    page.keyboard.press("Space")
    expect(head).to_have_attribute("aria-sort", "descending")
    assert points(page) == sorted(points(page), reverse=True)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("[aria-sort]").all_inner_texts() == ["softmax"]
    marks = page.locator(".students tbody td:nth-child(3)").evaluate_all("cells => cells.map((c) => c.className)")
    order = ["wrong", "stopped", "empty", "passed"]
    assert marks == sorted(marks, key=order.index) and len(set(marks)) > 2


def test_the_filter_shows_the_rows_that_hold_the_words(folder, opened):
    page = opened(folder / "index.html")
    everybody = names(page)
    field = page.get_by_label("Show only rows with")
    field.fill(everybody[3].upper())
    expect(page.get_by_role("status")).to_have_text(f"1 of {len(everybody)} rows shown.")
    assert names(page) == [everybody[3]]
    field.fill("did not end")
    cells = page.locator(".students tbody tr:visible")
    assert 0 < cells.count() < len(everybody)
    assert all("did not end" in text for text in cells.all_inner_texts())
    field.fill("")
    assert names(page) == everybody


def test_one_gets_to_a_student_and_back(folder, opened):
    page = opened(folder / "index.html")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    link = page.locator(".students td.wrong a").first
    exercise = link.get_attribute("href").split("#")[1]
    link.click()
    expect(page.locator(f"h3#{exercise}")).to_be_in_viewport()
    assert page.locator(f"h3#{exercise} ~ pre").first.inner_text()
    page.get_by_role("link", name="The class").click()
    expect(page.locator("h1")).to_have_text("Class report")


def test_without_javascript_everything_can_be_read(folder, opened):
    page = opened(folder / "index.html", java_script_enabled=False)
    expect(page.locator(".tools")).to_be_hidden()
    assert page.locator(".students button").count() == 0
    expect(page.locator(".students tbody tr").first).to_be_visible()
    page.locator(".mistakes summary").first.click()
    expect(page.locator(".mistakes .people a").first).to_be_visible()


def test_names_and_exercises_stay_in_sight_when_the_table_is_scrolled(folder, opened):
    page = opened(folder / "index.html", 500)
    region = page.locator(".scroll.tall")
    region.scroll_into_view_if_needed()
    region.evaluate("region => region.scrollTo(400, 300)")
    edge = region.bounding_box()
    head = page.locator(".students thead th").nth(4).bounding_box()
    name = page.locator(".students tbody th").nth(12).bounding_box()
    assert abs(head["y"] - edge["y"]) < 3
    assert abs(name["x"] - edge["x"]) < 3


def test_on_paper_everything_is_there(folder, opened):
    page = opened(max(folder.glob("students/*.html"), key=lambda path: path.stat().st_size))
    page.emulate_media(media="print")
    expect(page.locator("details:not([open]) table").first).to_be_visible()
    expect(page.locator("nav")).to_be_hidden()
