"""The local page of ``facepriv serve``: try methods on a photo, compare them, protect a folder, open reports.

The server (`app`, `guard`) does no heavy work itself. A child process (`photo_process`) holds the photos and models; a
folder is protected by a process of its own (`run_process`), which outlives page and server.
"""
