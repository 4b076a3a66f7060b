"""The path of a photo, in reading order.

`options` (what the user asked for), `request` (what is hidden, and the draws), `inputs` (which files), `plan` (what is
to be done), `pipeline` (one photo), `worker` (a handful of files), `shards` (tar files), `engine` and `local`
(processes), `manifest` (the record), `run` (all of it).

The package is not called ``protect``: that is the function `facepriv.protect`.
"""
