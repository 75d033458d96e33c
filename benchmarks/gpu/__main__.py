"""`python3 benchmarks/gpu --help` says what this measures."""

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NEEDED = ("torch", "numpy", "safetensors")


def run():
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"{' and '.join(missing)} missing: this needs Python 3.11 or newer with {', '.join(NEEDED)}.")
        return 2
    sys.path.append(str(HERE.parent))  # for measuring
    sys.path.append(str(HERE.parents[1] / "reference"))  # where clearformer is not installed
    from command import main

    return main()


if __name__ == "__main__":
    sys.exit(run())
