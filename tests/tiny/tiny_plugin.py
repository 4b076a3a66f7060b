"""A plugin for the tests of pipeline and command line: light, found by its dist-info when this folder is on the path.

What a method was asked for shows in the colour of the faces, so that tests can read it off a written photo.
"""

from dataclasses import replace

from facepriv.hookspecs import Descriptor, hookimpl

FACEPRIV_CONTRACT = 2
_ALL = ("gender", "race", "age")


def _method(name, target, attributes=_ALL):
    return Descriptor("method", name, f"tiny_methods:{target}", f"test method {name}", "nowhere", attributes)


@hookimpl
def facepriv_components():
    methods = [
        _method("darken", "Darken", ("gender",)),
        _method("noise", "Noise", ("gender",)),
        _method("paint", "Paint"),
        _method("paint-gender", "PaintGender", ("gender",)),
        _method("paint-age", "PaintAge", ("age",)),
        _method("grey", "Grey", ("race",)),
        _method("dots", "Dots", ("gender",)),
        _method("misshapen", "Misshapen", ("gender",)),
        _method("choosy", "Choosy", ("gender",)),
        _method("deadly", "Deadly", ("gender",)),
        _method("odd", "Odd", ("gender",)),
        _method("slow", "Slow", ("gender",)),
        _method("still", "Still", ("gender",)),
        _method("first-only", "FirstOnly", ("gender",)),
        _method("unloadable", "NotThere", ("gender",)),
        _method("weightless", "Weightless", ("gender",)),
        _method("threads", "Threads", ("gender",)),
    ]
    methods.append(replace(_method("tuned", "Tuned", ("gender",)), options={"fixed": 2}))
    estimators = [
        Descriptor("estimator", f"bright-{name}", f"tiny_methods:Bright{name.title()}", "test", attributes=(name,))
        for name in _ALL
    ]
    fixed = Descriptor("estimator", "always-female", "tiny_methods:AlwaysFemale", "test", attributes=("gender",))
    of_a_file = Descriptor("estimator", "from-a-file", "tiny_methods:FromAFile", "test", attributes=("gender",))
    trainer = Descriptor("trainer", "nothing", "tiny_methods:train", "trains nothing")
    converter = Descriptor("converter", "nothing", "tiny_methods:convert", "converts nothing")
    exporter = Descriptor("exporter", "nothing", "tiny_methods:export", "exports nothing")
    return [*methods, *estimators, fixed, of_a_file, trainer, converter, exporter]
