"""days_of_training: from a model and its tokens to days on a clock."""

from clearformer.checks.exercise import prediction

OPERATIONS = 6 * 7e9 * 140e9
PEAK, USED, DEVICES, DAY = 312e12, 0.4, 64, 24 * 60 * 60
DAYS = OPERATIONS / (PEAK * USED * DEVICES) / DAY

EXERCISE = prediction(
    "days_of_training",
    lesson="13_scaling_laws",
    points=1,
    difficulty=2,
    minutes=8,
    asks="7e9 parameters, 140e9 tokens, 64 GPUs of 312e12 operations a second at most, of which 40 % are reached: how "
    "many days?",
    number=DAYS,
    close=0.03,
    wrong=(
        (
            "at-the-peak",
            DAYS * USED,
            "That is the time at the full rate of the data sheet. Training reaches 40 % of it here: it takes 2.5 times "
            "as long.",
        ),
        (
            "forward-only",
            DAYS / 3,
            "You counted 2 operations for each parameter and token: the forward pass. Training takes 6.",
        ),
        (
            "six-left-out",
            DAYS / 6,
            "You counted one operation for each parameter and token. Training takes 6: 2 forward, 4 backward.",
        ),
        (
            "multiply-adds",
            DAYS / 2,
            "You counted 3 operations for each parameter and token. A multiply-add is two operations: 6.",
        ),
        (
            "gpu-days",
            DAYS * DEVICES,
            "These are GPU-days, what one GPU alone would take. 64 of them share the work.",
        ),
        (
            "hours",
            DAYS * 24,
            "These are hours. The question is how many days.",
        ),
        (
            "gpu-hours",
            DAYS * DEVICES * 24,
            "These are GPU-hours, the number that one pays for. On the clock it is 64 times less, and then in days.",
        ),
        (
            "pf-days",
            OPERATIONS / 8.64e19,
            "These are PF-days: what a machine of 10¹⁵ operations a second takes. 64 GPUs at 40 % of 312e12 make 8 · "
            "10¹⁵.",
        ),
    ),
    hints=(
        "How many operations are there to do, and how many a second do all GPUs together?",
        "6 · N · D operations. 64 · 0.4 · 312e12 a second. A day has 86,400 seconds.",
        "6 * 7e9 * 140e9 / (64 * 0.4 * 312e12) / 86_400",
    ),
)
