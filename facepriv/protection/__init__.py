"""The protection of photos. The modules, in reading order:

`options` (user configuration), `request` (attributes to hide, random draws), `inputs` (input files), `plan` (jobs),
`pipeline` (one photo), `worker` (a chunk of files), `shards` (tar files), `engine` and `local` (processes), `manifest`
(the record), `run` (the whole run).

The package is not called ``protect`` because that is the function `facepriv.protect`.
"""
