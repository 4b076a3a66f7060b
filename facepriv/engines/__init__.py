"""Engines carry a run out: they take tasks (files) and yield outcomes. All give the same bytes for the same device.

`inline` works in the calling process, `local` in worker processes of this machine, `ray` on the nodes of a cluster.
"""
