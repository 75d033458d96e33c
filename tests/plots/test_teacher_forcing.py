from clearformer.plots.teacher_forcing import teacher_forcing

SOURCE, TARGET = ["d", "a", "c"], ["start", "c", "a", "d", "end"]


def words_by_row(axes):
    """{row: words from left to right}, without the headings."""
    rows = {}
    for text in axes.texts:
        x, y = text.get_position()
        if y <= 0 and x >= 0 and text.get_text():
            rows.setdefault(round(-y), []).append((x, text.get_text()))
    return {row: [word for _, word in sorted(found)] for row, found in rows.items()}


def test_each_row_reads_the_tokens_before_the_one_it_says():
    (axes,) = teacher_forcing(SOURCE, TARGET)[0].axes
    rows = words_by_row(axes)
    assert rows == {row: [*TARGET[: row + 1], TARGET[row + 1]] for row in range(4)}


def test_what_is_still_to_come_is_hatched():
    (axes,) = teacher_forcing(SOURCE, TARGET)[0].axes
    hatched = [patch for patch in axes.patches if patch.get_hatch()]
    assert len(hatched) == 3 + 2 + 1


def test_the_text_alternative_tells_every_row():
    alt = teacher_forcing(SOURCE, TARGET)[1]
    assert "“start”, says “c”" in alt and "“start c a d”, says “end”" in alt
