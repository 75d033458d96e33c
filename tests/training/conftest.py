"""So that the tests here can import small_runs. Only this folder is put on the path: tests/ itself holds a
folder called numpy."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
