"""Small tables for the lessons: HTML that a screen reader can walk through, and the same as plain text."""

from html import escape
from numbers import Number


class Table:
    """Columns with names, rows of text, a caption. Shown as HTML where that is possible, else as text."""

    def __init__(self, cells, columns, caption, numeric):
        self.cells, self.columns, self.caption, self.numeric = cells, columns, caption, numeric

    def _repr_html_(self):
        heads = "".join(
            f'<th scope="col" style="{self._style(j)}">{escape(c)}</th>' for j, c in enumerate(self.columns)
        )
        body = "\n".join(f"<tr>{self._row(row)}</tr>" for row in self.cells)
        return (
            f'<table style="margin: 0"><caption style="text-align: left; font-weight: bold; padding: 0 0 8px 8px">'
            f"{escape(self.caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
        )

    def _row(self, row):
        first = f'<th scope="row" style="{self._style(0)}; font-weight: normal">{escape(row[0])}</th>'
        return first + "".join(f'<td style="{self._style(j)}">{escape(row[j])}</td>' for j in range(1, len(row)))

    def _style(self, column):
        return f"text-align: {'right' if self.numeric[column] else 'left'}; padding: 6px 16px 6px 8px"

    def __repr__(self):
        widths = [max(map(len, column)) for column in zip(self.columns, *self.cells, strict=True)]
        lines = [
            "  ".join(
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(row, widths, self.numeric, strict=True)
            ).rstrip()
            for row in [self.columns, ["─" * width for width in widths], *self.cells]
        ]
        return "\n".join([self.caption, "", *lines])


def table(rows, columns, caption, formats=None):
    """Make a table that a notebook shows as HTML and a terminal as text.

    rows: one sequence of cells each, the first cell names the row; columns: their names; caption: what the
    table shows. formats: {column name: format}, such as {"share": ".1%", "bytes": ",d"}, used on numbers.
    ValueError where a name is blank, a row has another length, or a format names no column or does not fit.
    """
    columns = [str(name) for name in columns]
    formats = dict(formats or {})
    if not str(caption).strip():
        raise ValueError("caption is missing: say what the table shows")
    if not columns or not all(name.strip() for name in columns):
        raise ValueError(f"each column needs a name, but columns is {columns}")
    if unknown := set(formats) - set(columns):
        raise ValueError(f"formats names {sorted(unknown)}, but the columns are {columns}")
    rows = [[_plain(value) for value in row] for row in rows]
    for number, row in enumerate(rows, 1):
        if len(row) != len(columns):
            raise ValueError(f"row {number} has {len(row)} cells for {len(columns)} columns")
    cells = [[_text(v, formats.get(c, ""), c) for v, c in zip(row, columns, strict=True)] for row in rows]
    numeric = [bool(rows) and all(_is_number(row[j]) or row[j] is None for row in rows) for j in range(len(columns))]
    return Table(cells, columns, str(caption), numeric)


def _plain(value):
    # A NumPy or torch scalar counts as the Python number in it.
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _is_number(value):
    return isinstance(value, Number) and not isinstance(value, bool)


def _text(value, form, column):
    if value is None:
        return "–"
    if not _is_number(value):
        return " ".join(str(value).split())
    try:
        return format(value, form).replace("-", "−")
    except (ValueError, TypeError) as error:
        raise ValueError(f"the format {form!r} of column {column!r} does not fit {value!r}: {error}") from None
