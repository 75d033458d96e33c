"""decode_batch: find the two mistakes in a decoder that never stops."""

import numpy as np

from clearformer.checks.catalogue.lesson_06_translation.models import callback, scripted, tree
from clearformer.checks.exercise import Call, Case, Exercise, Property, misconception


def decode_batch(next_token_logits, start_ids, end_id, max_len):
    """The mended code."""
    rows = [[start_id] for start_id in start_ids]
    finished = [False] * len(rows)
    while not all(finished) and max(map(len, rows)) < max_len:
        for number, logits in enumerate(next_token_logits(rows)):
            if not finished[number]:
                rows[number].append(int(np.argmax(logits)))
                finished[number] = rows[number][-1] == end_id
    return rows


class BatchCall(Call):
    """one: the model for one row; a batch's logits are those of its rows."""

    def __init__(self, one, *args):
        self.function = lambda rows: np.array([one(row) for row in rows])
        super().__init__(callback(self.function), *args)


def rows_and_how_long_it_went_on(answer, call):
    """The result, and whether the model was still asked when all was said. How many rows it is asked for is free."""
    longest = []

    def watched(rows):
        longest.append(max(map(len, rows)))
        return call.function(rows)

    rows = answer.call(callback(watched), *call.args[1:])
    needed = max(map(len, decode_batch(call.function, *call.args[1:]))) - 1
    went = max(longest, default=0)
    return {
        "result": rows,
        "the longest row that the model was given": f"at most {needed} ids" if went <= needed else f"{went} ids",
    }


def a_sentence_alone_and_in_a_batch_are_equal(answer, rng):
    call = any_model(rng)
    together = answer.call(*call.args)
    for start_id, row in zip(call.args[1], together, strict=True):
        alone = answer.call(call.args[0], [start_id], *call.args[2:])[0]
        if alone != row:
            return f"the sentence that begins with {start_id} is {alone} alone and {row} in a batch"
    return None


def nothing_follows_the_end(answer, rng):
    call = any_model(rng)
    for row in answer.call(*call.args):
        if 2 in row[:-1]:
            return f"in {row} the end_id, 2, does not stand at the end"
    return None


# Wrong answers: the code as it was found, half-mended, and mended at the cost of something else -----------------


def variant(*, stops="all finished", room=True, after="nothing", result=lambda rows, end_id, max_len: rows, offset=0):
    """stops: when the loop ends; after: what a finished row gets."""

    def is_over(rows, finished, end_id):
        return {
            "all finished": all(finished),
            "all end at once": all(row[-1] == end_id for row in rows),
            "one finished": any(finished),
            "never": False,
        }[stops]

    def decode_batch(next_token_logits, start_ids, end_id, max_len):
        rows = [[start_id] for start_id in start_ids]
        finished = [False for _ in rows]
        while not is_over(rows, finished, end_id) and (not room or max(map(len, rows)) < max_len + offset):
            for number, logits in enumerate(next_token_logits(rows)):
                token = int(np.argmax(logits))
                if finished[number] and after != "more words":
                    rows[number] += {"the end": [end_id], "zero": [0], "nothing": []}[after]
                    continue
                rows[number].append(token)
                finished[number] = finished[number] or token == end_id
        return result(rows, end_id, max_len)

    return decode_batch


def wrong(slug, says, **changes):
    return misconception(slug, says)(variant(**changes))


def cut_after_the_end(rows, end_id, max_len):
    return [row[: row.index(end_id) + 1] if end_id in row else row for row in rows]


def cut_at_max_len(rows, end_id, max_len):
    return [row[:max_len] for row in rows]


def without_the_end(rows, end_id, max_len):
    return [[token for token in row if token != end_id] for row in rows]


def without_the_start(rows, end_id, max_len):
    return [row[1:] for row in rows]


as_found = wrong(
    "as-found",
    "This is what the code did before. Look at the experiment above the exercise again: what happens to a sentence "
    "that has reached its end while another has not, and what if a model never says end_id?",
    stops="all end at once",
    room=False,
    after="more words",
)
room_left = wrong(
    "max-len-left",
    "A finished sentence stays finished now, and one mistake is left. Nobody looks at max_len, so a model that never "
    "says end_id is asked for ever.",
    room=False,
)
after_the_end_left = wrong(
    "after-the-end-left",
    "max_len stops the loop now, and one mistake is left. A sentence that has reached its end goes on, with words that "
    "mean nothing, and the loop still waits until all end at the same step. Remember which sentences are finished.",
    stops="all end at once",
    after="more words",
)
goes_on_while_others_write = wrong(
    "goes-on-while-others-write",
    "The loop now stops when each sentence has had its end, but until then finished sentences get more words. A row "
    "that is finished stays as it is.",
    after="more words",
)
first_end_stops_all = wrong(
    "first-end-stops-all",
    "Your loop stops as soon as one sentence is finished, and cuts the others. It has to wait for all of them.",
    stops="one finished",
)
filled_with_ends = wrong(
    "filled-with-ends",
    "Finished sentences are filled up with end_id. Many programs do that. This exercise asks for rows that stop after "
    "their first end_id.",
    after="the end",
)
filled_with_zeros = wrong(
    "filled-with-zeros",
    "Finished sentences are filled up with 0. Many programs do that. This exercise asks for rows that stop after their "
    "end_id.",
    after="zero",
)
always_max_len = wrong(
    "always-until-max-len",
    "The rows are right, but your loop always goes on to max_len: the model is asked although all sentences are "
    "finished. Stop when all are.",
    stops="never",
    after="more words",
    result=cut_after_the_end,
)
waits_for_one_step = wrong(
    "waits-for-one-step",
    "You cut off what comes after the end, so the rows are right. But the loop still waits for a step at which all "
    "sentences end together, and asks the model for nothing. Remember which are finished.",
    stops="all end at once",
    after="more words",
    result=cut_after_the_end,
)
cut_at_the_end = wrong(
    "max-len-cut-afterwards",
    "You cut the rows to max_len after the loop. The loop itself still never stops where a model never says end_id.",
    room=False,
    result=cut_at_max_len,
)
one_too_many = wrong(
    "start-not-counted",
    "Your rows may have one id too many: max_len counts all ids, the first one too.",
    offset=1,
)
one_too_few = wrong(
    "one-too-few",
    "Your loop stops one id too early: there may be max_len ids in a row.",
    offset=-1,
)
end_dropped = wrong(
    "end-dropped",
    "The end_id is missing in your rows. It was kept before, and this exercise asks to keep it.",
    result=without_the_end,
)
start_dropped = wrong(
    "start-dropped",
    "The first id is missing in your rows. It was there before, and this exercise asks to keep it.",
    result=without_the_start,
)
plain = variant()


def one_sentence_after_the_other(next_token_logits, start_ids, end_id, max_len):
    """Another right answer: no batch at all."""
    rows = []
    for start_id in start_ids:
        row = [start_id]
        while len(row) < max_len:
            row.append(int(next_token_logits([row])[0].argmax()))
            if row[-1] == end_id:
                break
        rows.append(row)
    return rows


def finished_rows_leave(next_token_logits, start_ids, end_id, max_len):
    """Another right answer: the model is asked for unfinished rows alone."""
    rows = [[start_id] for start_id in start_ids]
    going = list(range(len(rows))) if max_len > 1 else []
    while going:
        chosen = next_token_logits([rows[number] for number in going]).argmax(axis=-1).tolist()
        for number, token in zip(going, chosen, strict=True):
            rows[number].append(token)
        going = [number for number in going if rows[number][-1] != end_id and len(rows[number]) < max_len]
    return rows


def filled_and_cut(next_token_logits, start_ids, end_id, max_len):
    """Another right answer: finished rows are filled up with end_id on the way, and cut afterwards."""
    return variant(after="the end", result=cut_after_the_end)(next_token_logits, start_ids, end_id, max_len)


# What is drawn ------------------------------------------------------------------------------------------------


def says(paths, max_len=10, end_id=2, vocab=9):
    """A case's draw: {start_id: path}. After a path's end its row goes on with 3, 4, 3, 4, …, as real models do."""

    def draw(rng):
        going_on = [3, 4] * 20
        models = {start: scripted([*path, *going_on], vocab) for start, path in paths.items()}
        return BatchCall(lambda row: models[row[0]](row), list(paths), end_id, max_len)

    return draw


def any_model(rng):
    return BatchCall(tree(int(rng.integers(1 << 30)), 9, end_id=2, ends=1.0), [5, 6, 7, 8], 2, 9)


EXERCISE = Exercise(
    name="decode_batch",
    lesson="06_translation",
    kind="hunt",
    points=2,
    difficulty=3,
    minutes=15,
    asks="Mend the two mistakes that keep the decoder from stopping.",
    reference=decode_batch,
    returns=("rows",),
    cases=(
        Case("one sentence", says({5: [3, 4, 2]}), "this worked before", ask=rows_and_how_long_it_went_on),
        Case(
            "two sentences that end together",
            says({5: [3, 4, 2], 6: [4, 4, 2]}),
            "this worked before",
            ask=rows_and_how_long_it_went_on,
        ),
        Case(
            "one sentence ends before the other",
            says({5: [3, 2], 6: [4, 4, 3, 2]}),
            "it has to wait, without another word",
            ask=rows_and_how_long_it_went_on,
        ),
        Case(
            "a model that never ends",
            says({5: [3], 6: [4]}, max_len=6),
            "max_len stops it",
            ask=rows_and_how_long_it_went_on,
        ),
        Case(
            "one that never ends beside one that does",
            says({5: [3, 2], 6: [4]}, max_len=6),
            ask=rows_and_how_long_it_went_on,
        ),
        Case("the end in the last place", says({5: [3, 4, 2], 6: [4, 2]}, max_len=4), ask=rows_and_how_long_it_went_on),
        Case("room for the first id alone", says({5: [3, 2], 6: [2]}, max_len=1), ask=rows_and_how_long_it_went_on),
        Case(
            "another id for the end",
            says({5: [2, 8], 6: [0, 2, 3, 8]}, end_id=8),
            "here 0 and 2 are words",
            ask=rows_and_how_long_it_went_on,
        ),
        Case("any model", any_model, ask=rows_and_how_long_it_went_on),
    ),
    properties=(
        Property("a sentence alone and in a batch are the same", a_sentence_alone_and_in_a_batch_are_equal),
        Property("nothing follows the end", nothing_follows_the_end),
    ),
    misconceptions=(
        as_found,
        room_left,
        after_the_end_left,
        goes_on_while_others_write,
        first_end_stops_all,
        filled_with_ends,
        filled_with_zeros,
        always_max_len,
        waits_for_one_step,
        cut_at_the_end,
        one_too_many,
        one_too_few,
        end_dropped,
        start_dropped,
    ),
    alternatives=(plain, one_sentence_after_the_other, finished_rows_leave, filled_and_cut),
    hints=(
        "Follow two sentences by hand, one that ends after two words and one that ends after four. When is the loop's "
        "condition true? Then ask what happens if a model never says end_id.",
        "Remember for each row whether it is finished. A finished row gets nothing more. The loop ends when all rows "
        "are finished, or when they are max_len long.",
        "while not all(finished) and max(map(len, rows)) < max_len:",
    ),
)
