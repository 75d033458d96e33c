"""NAME: counting multiplications. CHANGE: what yours asks for."""

from clearformer.checks.exercise import prediction

EXERCISE = prediction(
    "NAME",
    number=24,  # CHANGE: the right number; for one that is measured, close=0.05 lets 5 % pass
    # CHANGE: wrong numbers that have a story, three at least: a short name for reports, the number, and what to say
    # to the person who gave it: where the number comes from, and what it leaves out.
    wrong=(
        (
            "numbers-in-the-result",
            8,
            "8 is how many numbers the result has, 2 rows of 4. Each of them is a sum of products. How many?",
        ),
        (
            "numbers-in-one-sum",
            3,
            "3 products are added up for one number of the result. The result has more than one number.",
        ),
        (
            "numbers-in-both-matrices",
            18,
            "18 is how many numbers the two matrices hold together, 6 and 12. Each of them is used more than once.",
        ),
    ),
    lesson="LESSON",
    points=1,  # CHANGE these three here and in the notebook
    difficulty=1,
    minutes=3,
    asks="Set NAME to the number of multiplications.",  # CHANGE: one sentence
    # CHANGE: an idea, a plan, the line that matters. None of them gives the number away.
    hints=(
        "Write down one number of the result as a sum. How many products are in it?",
        "Count the numbers of the result, and multiply by the products in each.",
        "rows of the first × columns of the second × what they share",
    ),
)
