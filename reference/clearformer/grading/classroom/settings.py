"""How a class is graded, as plain values. Apart from `grade`, which takes a while to be imported."""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = ("full", "none")
NOTEBOOK_DEADLINES = 5  # a whole notebook may take so many times what one of its cells may


@dataclass(frozen=True)
class Settings:
    """level: of the sandbox, "full" or "none"; deadline: seconds that a cell, or the check of an answer, may take."""

    level: str = "full"
    deadline: float = 10.0
