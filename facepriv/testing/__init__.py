"""Conformance checks for plugins, with pytest or without.

With pytest, the test file of a method has five lines, and each check is a separate test::

    import pytest
    from facepriv.testing import checks

    @pytest.mark.parametrize("check", checks("pixelate"), ids=str)
    def test_conforms(check):
        check()

Without it, ``run_checks("pixelate")`` returns one `Result` per check. Both take the name of an installed component, a
class, a factory, or an instance. Checks that do not apply (weights, for a method without any) are marked as such. If
one fault makes many checks fail, ``causes(results)`` returns each cause once, with the checks that fail for it.

>>> from facepriv.testing import checks, specimens
>>> str(checks("dlib", "matcher")[0])
'constructor_reads_nothing'
>>> specimens(112, landmarks=False).images.shape
(3, 112, 112, 3)

A method with weights follows a small protocol, checked by ``weights_round_trip``:

- its constructor takes ``weights``, a path or None for the packaged file, and opens no file;
- ``weights_path()`` returns the path of the file in use (for example `facepriv.weights.packaged_weights`);
- ``info()["weights"]`` is the SHA-256 of that file (`facepriv.weights.stored_sha256` gets it from the hash file);
- it reads the file with `facepriv.weights.load_weights`, on first use.
"""

from facepriv.testing.core import Check, ConformanceWarning, Result
from facepriv.testing.faces import specimens
from facepriv.testing.failures import Cause, causes
from facepriv.testing.suite import checks, run_checks

__all__ = ["Cause", "Check", "ConformanceWarning", "Result", "causes", "checks", "run_checks", "specimens"]
