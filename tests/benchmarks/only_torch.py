"""Run a script as on a machine where only torch, numpy and safetensors are installed, with what these need.

    python only_torch.py SCRIPT ARGUMENTS…

Whatever else is installed cannot be imported. Child processes by fork inherit that.
"""

import re
import runpy
import sys
from importlib import metadata

INSTALLED = ("torch", "numpy", "safetensors")
OURS = {"clearformer"}


def needs(names):
    """The distributions and all that they depend on, without extras."""
    found, open_ones = set(), list(names)
    while open_ones:
        name = re.sub(r"[-_.]+", "-", open_ones.pop()).lower()
        if name in found:
            continue
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        open_ones += [re.match(r"[\w.-]+", each).group() for each in requirements if "extra ==" not in each]
    return found


def hidden_modules():
    """The top-level modules of all other distributions."""
    there, owners = needs(INSTALLED), metadata.packages_distributions()
    return {
        module
        for module, names in owners.items()
        if module not in OURS and not any(re.sub(r"[-_.]+", "-", name).lower() in there for name in names)
    }


class Blind:
    """A finder of sys.meta_path that does not see the hidden modules."""

    def __init__(self, finder, hidden):
        self.finder, self.hidden = finder, hidden

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in self.hidden else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)


if __name__ == "__main__":
    hidden = hidden_modules()
    for name in ("tokenizers", "typer", "rich", "tqdm", "anywidget", "matplotlib", "sacrebleu", "platformdirs"):
        assert name in hidden, f"{name} should be installed here, and hidden"
    sys.meta_path[:] = [Blind(finder, hidden) for finder in sys.meta_path]
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
