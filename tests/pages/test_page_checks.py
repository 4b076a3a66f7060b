"""What reads and checks the pages finds what is wrong: a check that passes everything would let them rot."""

import pytest
from page_calls import WrongLine, check, commands_of_make, split
from page_lines import Line, blocks_of, commands_of
from page_runs import Store, run_line


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


class TestWrongLines:
    """What the pages had, or may get."""

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("facepriv pack PACK --data DATA", "Missing option '-o'"),
            ("facepriv aply photos/", "No such command 'aply'"),
            ("facepriv apply photos/ -o out --method san --obfuscat gender", "No such option"),
            ("facepriv apply photos/ -o out --method san --strength 2", "2.0 is not in the range"),
            ("facepriv train", "a subcommand is missing"),
            ("facepriv train privacynet PACK -o RUN", "--matcher"),
            ("make verify-nothing DATA=data", "verify-nothing"),
            ("make verify-lfw", "the data sets' folder is missing"),
            ("make verify-lfw DATEN=data", "no variable as in DATEN=data"),
            ("make verify-privacynet DATA=data ARGS=--outputt=own", "No such option"),
            ("make train-privacynet MOBILEFACENET=m.onnx ARGS=--stepps", "No such option"),
            ("python benchmarks/gone.py", "no such file"),
            ("make test ARGS='-n 0 -k paste tests/gone.py'", "pytest: tests/gone.py: no such file"),
            ("make bench ARGS=nothing", "No such command 'nothing'"),
            ("make bench-train ARGS='--rounds 0'", "0 is not in the range"),
            ("pip install 'facepriv[nothing]'", "no extra 'nothing'"),
            ("pip install ./examples/gone", "no distribution of ours"),
            ("docker run facepriv", "no program that tests/pages knows"),
            ("facepriv check 'pixelate", "No closing quotation"),
        ],
    )
    def test_a_wrong_line_is_found(self, line, reason):
        with pytest.raises(WrongLine) as error:
            check(split(line))
        assert reason in str(error.value)

    def test_a_line_that_parses_and_fails_is_found(self, store, tmp_path):
        line = Line("a page:3", "facepriv apply photos/ -o out --method nothing --obfuscate gender")
        with pytest.raises(WrongLine, match=r"a page:3: (.|\n)*unknown method 'nothing'"):
            run_line(line, tmp_path, store)

    def test_a_program_that_nothing_runs_is_found(self, store, tmp_path):
        with pytest.raises(WrongLine, match="nothing says how this is run"):
            run_line(Line("a page:3", "accelerate launch -m facepriv demo"), tmp_path, store)


def test_the_loops_of_a_make_target_are_unrolled():
    calls = commands_of_make(["train-san", "MOBILEFACENET=m.onnx", "PACK=p", "ARGS=--steps 3"])
    start = ["facepriv", "train"]
    assert [call[:4] for call in calls] == [[*start, name, "p"] for name in ("san", "ensemble-san", "flow-san")]
    assert all(call[-2:] == ["--steps", "3"] for call in calls)


def test_variables_of_a_make_around_the_tests_do_not_count(monkeypatch):
    monkeypatch.setenv("ARGS", "-rs")
    monkeypatch.setenv("MAKEFLAGS", " -- ARGS=-rs")
    fuzz = ["python", "-m", "pytest", "-s", "tests/robustness/test_fuzz.py", "--long"]
    assert commands_of_make(["fuzz"]) == [fuzz]


PAGE = """# A page

Text with `facepriv doctor`, `gender` and `--json FILE`.

    facepriv demo    # a comment
    facepriv apply photos/ \\
        -o out

## Session

```
$ facepriv apply a
facepriv: error: no
$ facepriv methods
```

```toml a.toml
size = 3
```
"""


def test_commands_sessions_files_and_headings_are_read():
    found = blocks_of("page.md", PAGE)
    lines = [line for block in found if block.kind == "" for line in commands_of(block)]
    assert [(line.place, line.text, line.heading, line.may_fail) for line in lines] == [
        ("page.md:5", "facepriv demo    # a comment", "A page", False),
        ("page.md:6", "facepriv apply photos/ -o out", "A page", False),
        ("page.md:12", "facepriv apply a", "Session", True),
        ("page.md:14", "facepriv methods", "Session", False),
    ]
    assert (found[-1].kind, found[-1].name, found[-1].text) == ("toml", "a.toml", "size = 3\n")
