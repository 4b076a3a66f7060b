"""JSON from third parties: what cannot be read is a `ValueError`, whatever is wrong with it."""

import pytest

from facepriv.files import parse


def test_sound_text_is_read():
    assert parse('{"a": [1, null]}') == parse(b'{"a": [1, null]}') == {"a": [1, None]}


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, b"\xff\xfe\xff", '{"a": 1} x'])
def test_any_other_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse(text)
