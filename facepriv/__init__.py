"""facepriv: hide gender, age or race in face photos while recognition keeps working."""

import os

__version__ = "0.1.0"

# onnxruntime 1.29 and newer has telemetry: its import makes files in the home folder and asks for its collector's
# address. Only this variable prevents that, and only where it is set before the import. Every command, worker process,
# Ray actor and plugin imports this package first.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
