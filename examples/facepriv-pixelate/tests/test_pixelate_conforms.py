import pytest

from facepriv.testing import checks


@pytest.mark.parametrize("check", checks("pixelate"), ids=str)
def test_conforms(check):
    check()
