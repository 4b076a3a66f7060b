"""A colour profile stays as it is where it is sound, and goes where it is of other photos."""

import io
import struct

import pytest
from PIL import ImageCms

from facepriv.image.profile import kept_profile


def test_a_sound_profile_stays_byte_for_byte(profile):
    assert kept_profile(profile, "RGB") == profile


def test_a_profile_of_other_channels_goes(profile):
    assert kept_profile(profile, "CMYK") is None
    assert kept_profile(profile, "L") == profile  # grey photos often have one for RGB
    grey = profile[:16] + b"GRAY" + profile[20:]
    assert kept_profile(grey, "I;16") == grey
    assert kept_profile(grey, "RGB") is None


@pytest.mark.parametrize("length", [0, 3, 100, 131, 140, 400])
def test_half_a_profile_goes(profile, length):
    assert kept_profile(profile[:length], "RGB") is None


def test_elements_that_reach_beyond_the_profile_go(profile):
    broken = bytearray(profile)
    struct.pack_into(">I", broken, 132 + 8, 2**31)
    kept = kept_profile(bytes(broken), "RGB")
    assert struct.unpack_from(">I", kept, 128)[0] == struct.unpack_from(">I", profile, 128)[0] - 1
    ImageCms.ImageCmsProfile(io.BytesIO(kept))


def test_a_profile_that_says_nothing_of_colours_goes(profile):
    renamed = bytearray(profile)
    for n in range(struct.unpack_from(">I", profile, 128)[0]):
        renamed[132 + 12 * n : 136 + 12 * n] = b"face"
    assert kept_profile(bytes(renamed), "RGB") is None
