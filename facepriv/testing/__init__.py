"""Conformance checks for plugins, with pytest or without.

With pytest, the test file of a method is five lines, and each check is a test of its own::

    import pytest
    from facepriv.testing import checks

    @pytest.mark.parametrize("check", checks("pixelate"), ids=str)
    def test_conforms(check):
        check()

Without it, ``run_checks("pixelate")`` returns one `Result` a check. Both take the name of an installed component, a
class, a factory, or an instance; a check that does not apply (weights, of a method without any) says so. Where one
fault makes many checks fail, ``causes(results)`` gives each cause once, with the checks that only repeat it.

A method with weights follows one small protocol, which ``weights_round_trip`` checks:

- its constructor takes ``weights``, a path or None for the packaged file, and reads nothing;
- ``weights_path()`` returns the path of the file in use (for example `facepriv.weights.packaged_weights`);
- ``info()["weights"]`` is the SHA-256 of that file (`facepriv.weights.stored_sha256` knows it without reading);
- it reads the file with `facepriv.weights.load_weights`, on first use.
"""

from facepriv.testing.causes import Cause, causes
from facepriv.testing.core import Check, ConformanceWarning, Result
from facepriv.testing.faces import specimens
from facepriv.testing.suite import checks, run_checks

__all__ = ["Cause", "Check", "ConformanceWarning", "Result", "causes", "checks", "run_checks", "specimens"]
