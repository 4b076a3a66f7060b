"""An error's text is one line, whatever a file's name holds."""

from facepriv.errors import DataError, one_line


def test_control_characters_are_written_as_python_writes_them_and_lines_are_joined():
    error = DataError("a\nb\x1b[31m\u2028c  d é: missing")
    assert str(error) == r"a b\x1b[31m c  d é: missing"
    assert "\n" not in one_line(error)
    assert one_line(OSError(2, "gone", "a\x1b[31m.jpg")) == r"FileNotFoundError: [Errno 2] gone: 'a\x1b[31m.jpg'"
    assert one_line(ValueError("a\x1b[31m.jpg")) == r"ValueError: a\x1b[31m.jpg"
