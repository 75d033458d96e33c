"""From values to HTML. Each page carries its style and script, and forbids the browser every other one."""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path

import jinja2
from markupsafe import Markup

from clearformer.grading.classroom.pages import overview

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def render(shown, columns, sandbox, date):
    """Pairs (path in the report's folder, HTML): the page of the class, then one for each student.

    shown: records from documents.for_people; columns: {lesson: names of its exercises}, in order; sandbox as in
    documents.write_reports; date: a datetime.date.
    """
    own_records = {}
    for record in shown:
        own_records.setdefault(record["page"], []).append(record)
    common = {"sandbox": sandbox, "date": date, "date_in_words": f"{date.day} {MONTHS[date.month - 1]} {date.year}"}
    yield "index.html", _class_page(own_records, columns, common)
    template = _template("student.html")
    for page, own in own_records.items():  # it is handed back: it names nobody else
        student = own[0]["student"]
        yield f"students/{page}.html", template.render(**common, student=student, own=own, policy=_policy())


def _class_page(own_records, columns, common):
    records = [record for own in own_records.values() for record in own]
    lessons = [[record["lesson"] for record in own if not record["error"]] for own in own_records.values()]
    return _template("class.html").render(
        **common,
        lessons=overview.lesson_views(own_records, columns),
        ungraded=[record for record in records if record["error"]],
        several=any(len(own) > len(set(own)) for own in lessons),
        students=len(own_records),
        notebooks=len(records),
        named_at_once=overview.NAMED_AT_ONCE,
        policy=_policy(with_script=True),
    )


def _template(name):
    return _environment().get_template(name)


@functools.cache
def _environment():
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(
        kind=overview.kind,
        words=overview.words,
        title=overview.title,
        anchor=overview.anchor,
        style=Markup(_browser_half("style.css")),
        script=Markup(_browser_half("table.js")),
        checked=_checked,
        plural=lambda count, one, many: f"{count} {one if count == 1 else many}",
    )
    environment.filters["breakable"] = _breakable
    return environment


@functools.lru_cache(maxsize=1024)
def _checked(rows, status):
    """The table of what was checked. Most of a class shares a few of them, and they are most of the pages' text."""
    return Markup(_template("checked.html").render(rows=rows, status=status))


def _breakable(name):
    """A name in code that may be broken after its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


@functools.cache
def _browser_half(file):
    return Path(__file__).with_name(file).read_text(encoding="utf-8")


@functools.cache
def _policy(with_script=False):
    """Content-Security-Policy: our style and our script by their hashes, and nothing else at all.

    So even a mistake in escaping would run nothing and ask nobody.
    """
    style = f"style-src {_hash_of('style.css')}"
    script = f"script-src {_hash_of('table.js')}" if with_script else "script-src 'none'"
    return f"default-src 'none'; {style}; {script}; base-uri 'none'; form-action 'none'"


def _hash_of(file):
    return f"'sha256-{base64.b64encode(hashlib.sha256(_browser_half(file).encode()).digest()).decode()}'"
