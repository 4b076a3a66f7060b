"""Puts `kit_methods` on the path, under one name for all files: what is pickled must be found again."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
