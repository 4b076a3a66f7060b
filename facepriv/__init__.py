"""facepriv: hide gender, age or race in face photos while recognition keeps working.

>>> import facepriv
>>> protected = facepriv.protect("photo.jpg", method="privacynet", hide=("gender",))  # doctest: +SKIP

`protect` changes a photo; `evaluate` compares protected photos with their originals; `compare` and `attack` measure
methods on a data set. `facepriv.metrics` contains only the metrics. Each is imported on first use.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facepriv.api import attack, compare, evaluate, protect

__version__ = "0.1.0"

__all__ = ["__version__", "attack", "compare", "evaluate", "protect"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("facepriv.api"), name)
    raise AttributeError(f"module 'facepriv' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# onnxruntime 1.29 and newer has telemetry: its import creates files in the home folder and looks up its collector's
# address. Only this variable prevents that, and only if it is set before the import. Every command, worker process,
# Ray actor and plugin imports this package first.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
