"""Live sliders: a figure that Python draws again each time the reader moves a control."""

import inspect
import math
import traceback
from decimal import Decimal
from functools import cached_property
from html import escape
from numbers import Integral, Real

import anywidget
import traitlets

from clearformer.plots.figure import picture
from clearformer.plots.style import browser_half

RUN_THIS_CELL = "Run this cell to move the sliders."
MOST_POSITIONS = 2_000


class Slider:
    """A number the reader moves from minimum to maximum in equal steps.

    name: the argument of `draw`; label and unit: what the reader sees. With log=True, step is the factor
    from one position to the next: 2 doubles. Whole numbers stay int. ValueError where the maximum is not
    a whole number of steps from the minimum, or value is not one of the positions.
    """

    kind = "slider"

    def __init__(self, name, label, minimum, maximum, step, value, unit="", log=False):
        self.name, self.label, self.unit, self.log = name, label, unit, log
        self.minimum, self.maximum, self.step, self.value = minimum, maximum, step, value
        _check_names(self)
        for argument in ("minimum", "maximum", "step", "value"):
            number = getattr(self, argument)
            if isinstance(number, bool) or not isinstance(number, Real) or not math.isfinite(number):
                raise ValueError(f"slider {name!r}: {argument} must be a finite number, but is {number!r}")
        if not minimum < maximum or not step > (1 if log else 0) or (log and not minimum > 0):
            needs = "0 < minimum < maximum and step > 1" if log else "minimum < maximum and step > 0"
            raise ValueError(f"slider {name!r} needs {needs}, but has {minimum!r}, {maximum!r} and {step!r}")
        self.start = self.position_of(value)

    @cached_property
    def values(self):
        """What each position of the slider stands for."""
        whole = isinstance(self.minimum, Integral) and isinstance(self.step, Integral)
        low, high, step = (Decimal(str(n)) for n in (self.minimum, self.maximum, self.step))
        steps = (high / low).ln() / step.ln() if self.log else (high - low) / step
        last = round(steps)
        if last > MOST_POSITIONS or abs(steps - last) > Decimal("1e-6"):
            raise ValueError(
                f"slider {self.name!r}: from {self.minimum} to {self.maximum} by {self.step} is {steps:.6g} steps; "
                f"it must be a whole number, at most {MOST_POSITIONS:,}"
            )
        exact = [low * step**k if self.log else low + k * step for k in range(last + 1)]
        # A factor such as 10 ** 0.1 is rounded itself: twelve digits are the ones that are meant.
        return [int(value) if whole else float(f"{value:.12g}") for value in exact]

    @cached_property
    def texts(self):
        """What the reader sees at each position, unit included."""
        places = max(-Decimal(str(n)).normalize().as_tuple().exponent for n in (self.minimum, self.step))
        unit = f" {self.unit}" if self.unit else ""
        return [_number_text(value, self.log, max(places, 0)) + unit for value in self.values]

    def position_of(self, value):
        """Which position stands for this value."""
        for position, candidate in enumerate(self.values):
            if math.isclose(candidate, value, rel_tol=1e-9, abs_tol=0 if self.log else 1e-9 * self.step):
                return position
        nearest = min(self.values, key=lambda candidate: abs(candidate - value))
        raise ValueError(f"slider {self.name!r} cannot stand at {value!r}: the nearest position is {nearest!r}")


class Choice:
    """One of a few options, which the reader chooses from a list. `draw` gets the option itself."""

    kind = "choice"

    def __init__(self, name, label, options, value):
        self.name, self.label, self.values, self.value = name, label, list(options), value
        _check_names(self)
        self.texts = [str(option) for option in self.values]
        self.start = self.position_of(value)

    def position_of(self, value):
        """Which option this is."""
        if value not in self.values:
            raise ValueError(f"choice {self.name!r} has no option {value!r}, only {self.values!r}")
        return self.values.index(value)


class Explorer(anywidget.AnyWidget):
    """The widget behind `explore`. The browser sends positions, one request at a time; Python sends pictures."""

    _esm = browser_half("widget.js", "explorer.js")
    _css = browser_half("widget.css", "explorer.css")
    title = traitlets.Unicode().tag(sync=True)
    controls = traitlets.List().tag(sync=True)
    scene = traitlets.Dict().tag(sync=True)  # one dictionary, so that picture and text change together

    def __init__(self, draw, controls, title):
        self._draw, self._controls = draw, controls
        parts = [{"kind": c.kind, "name": c.name, "label": c.label, "texts": c.texts} for c in controls]
        super().__init__(title=title, controls=parts)
        self.error = None
        # A figure that fails at the start fails in the cell, where its author sees the whole traceback.
        self._show(self._drawn([c.start for c in controls]), [c.start for c in controls])
        self.on_msg(self._answer)

    def move(self, **values):
        """Set controls by name and draw again, as if the reader had moved them."""
        unknown = set(values) - {c.name for c in self._controls}
        if unknown:
            raise ValueError(f"no control is called {', '.join(sorted(unknown))}")
        places = zip(self._controls, self.scene["positions"], strict=True)
        self._move_to([c.position_of(values[c.name]) if c.name in values else p for c, p in places])

    def _answer(self, _, content, buffers):
        if content.get("kind") != "draw":
            return
        try:
            self._move_to(content.get("positions"))
        finally:  # the browser waits for this before it asks again
            self.send({"kind": "drawn", "view": content.get("view"), "serial": content.get("serial")})

    def _move_to(self, positions):
        self._check_positions(positions)
        self.error, problem, drawn = None, "", None
        try:
            drawn = self._drawn(positions)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            self.error, problem = error, self._in_words(error, positions)
        self._show(drawn, positions, problem)

    def _check_positions(self, positions):
        fits = isinstance(positions, list) and len(positions) == len(self._controls)
        if not fits or not all(
            type(p) is int and 0 <= p < len(c.values) for p, c in zip(positions, self._controls, strict=True)
        ):
            raise ValueError(f"positions {positions!r} do not fit the controls")

    def _drawn(self, positions):
        values = {c.name: c.values[p] for c, p in zip(self._controls, positions, strict=True)}
        result = self._draw(**values)
        if not isinstance(result, tuple) or len(result) != 2:
            raise ValueError(f"draw must return (figure, alt), but returned {type(result).__name__}")
        return picture(*result)

    def _show(self, drawn, positions, problem=""):
        """Put a new picture on the page, or say the problem beside the last picture that worked."""
        if drawn is not None:
            self.picture = drawn
        self.scene = {
            "source": self.picture.source,
            "width": self.picture.width,
            "height": self.picture.height,
            "alt": self.picture.alt,
            "problem": problem,
            "positions": list(positions),
        }

    def _settings(self, positions):
        return [f"{c.label}: {c.texts[p]}" for c, p in zip(self._controls, positions, strict=True)]

    def _in_words(self, error, positions):
        code = getattr(inspect.unwrap(self._draw), "__code__", None)
        frames = traceback.extract_tb(error.__traceback__)
        here = [frame.lineno for frame in frames if code and frame.filename == code.co_filename]
        where = f" (line {here[-1]} of the cell that defines {code.co_name})" if here else ""
        return (
            f"No figure could be drawn with {'; '.join(self._settings(positions))}. "
            f"{type(error).__name__}: {error}{where}. The picture below is the last one that worked."
        )

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs)
        settings = "; ".join(self._settings(self.scene["positions"]))
        data["text/plain"] = f"{self.title}\n{self.picture.alt}\n{settings}. {RUN_THIS_CELL}"
        data["text/html"] = (
            f"<p><strong>{escape(self.title)}</strong></p>\n{self.picture._repr_html_()}\n"
            f"<p>{escape(settings)}. {RUN_THIS_CELL}</p>"
        )
        return data, metadata


def explore(draw, controls, title=""):
    """Show a figure with live controls.

    draw(**values) gets one value for each control by name, and returns (figure, alt text); controls: a list of
    Slider and Choice; title: what the reader explores. An error in the first drawing is raised here;
    a later one is shown in words. ValueError where a name is missing or used twice.
    """
    controls = list(controls)
    if not title.strip():
        raise ValueError("title is missing: say what the reader explores")
    if not controls or not all(isinstance(control, Slider | Choice) for control in controls):
        raise ValueError(f"controls must be a list of Slider and Choice, at least one, but is {controls!r}")
    names = [control.name for control in controls]
    if len(set(names)) < len(names):
        raise ValueError(f"each control needs a name of its own, but the names are {names}")
    try:
        inspect.signature(draw).bind(**dict.fromkeys(names))
    except TypeError as error:
        raise ValueError(f"draw does not take the values of the controls {names}: {error}") from None
    return Explorer(draw, controls, title)


def _check_names(control):
    for argument in ("name", "label"):
        text = getattr(control, argument)
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"a control needs a {argument}, but got {text!r}")


def _number_text(value, log, places):
    if isinstance(value, int):
        text = f"{value:,}"
    elif log:
        text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    else:
        text = f"{value:,.{places}f}"
    return text.replace("-", "−")
