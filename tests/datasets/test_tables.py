"""Label tables as spreadsheets and people write them, and what is said of those that cannot be read."""

import codecs

import pytest

from facepriv.datasets.readers import csvfolder
from facepriv.datasets.tables import read_csv
from facepriv.errors import DataError

TABLE = "file,subject,gender,age\n0.png,p,male,44.5\n1.png,,,\n"


@pytest.fixture
def labelled(tmp_path):
    """Return ``labelled(table)``: writes a table, text or bytes, beside two photos; returns what is read from it."""

    def read(table):
        for n in range(2):
            (tmp_path / f"{n}.png").touch()
        data = table if isinstance(table, bytes) else table.encode()
        (tmp_path / csvfolder.LABELS).write_bytes(data)
        return csvfolder.read(tmp_path)

    return read


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(TABLE, id="plain"),
        pytest.param(codecs.BOM_UTF8 + TABLE.encode(), id="UTF-8 with a mark"),
        pytest.param(TABLE.encode("utf-16"), id="UTF-16"),
        pytest.param(codecs.BOM_UTF16_BE + TABLE.encode("utf-16-be"), id="UTF-16, big end first"),
        pytest.param(TABLE.encode("utf-16-le"), id="UTF-16 without a mark"),
        pytest.param(TABLE.encode("utf-16-be"), id="UTF-16 without a mark, big end first"),
        pytest.param(TABLE.replace(",", ";").replace("44.5", "44,5"), id="semicolons and a decimal comma"),
        pytest.param("sep=;\r\n" + TABLE.replace(",", ";"), id="a line that names the delimiter"),
        pytest.param(TABLE.replace(",", "\t"), id="tabs"),
        pytest.param(TABLE.replace("\n", "\r\n"), id="line ends of Windows"),
        pytest.param("\n" + TABLE + "\n  \n,,,\n\t\n", id="blank lines"),
        pytest.param(TABLE.replace("file,subject", " File , SUBJECT"), id="capitals and spaces in the header"),
        pytest.param(TABLE.replace("male", "M").replace("1.png,,,", "1.png,NA,n/a,NaN"), id="M and NA"),
        pytest.param(TABLE.replace("male", " Male ").replace("1.png,,,", "1.png,unknown,?,Unknown"), id="unknown"),
        pytest.param(TABLE.replace("1.png,,,", "1.png"), id="a short row"),
        pytest.param(TABLE.replace("44.5", "44.5,,"), id="empty cells beyond the header"),
    ],
)
def test_a_table_is_read_as_it_was_meant(labelled, table):
    first, second = labelled(table)
    assert (first.name, first.subject, first.years) == ("0.png", "p", 44.5)
    assert first.labels == {"gender": "male", "age": "middle"}
    assert (second.subject, second.labels, second.years) == ("", {}, None)


@pytest.mark.parametrize(("cell", "gender"), [("m", "male"), ("F", "female"), ("FEMALE", "female")])
def test_gender_may_be_one_letter(labelled, cell, gender):
    assert labelled(f"file,gender\n0.png,{cell}\n")[0].labels == {"gender": gender}


@pytest.mark.parametrize("cell", ["0", "1", "-1", "2"])
def test_a_number_for_a_gender_is_refused_since_data_sets_differ_in_what_it_stands_for(labelled, cell):
    with pytest.raises(DataError, match=f"line 2: gender '{cell}' is none of male, female: data sets differ"):
        labelled(f"file,gender\n0.png,{cell}\n")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,gender\n0.png,MAN\n", "line 2: gender 'MAN' is none of male, female"),
        ("file,race\n\n0.png, White-ish\n", "line 3: race ' White-ish' is none of"),
        ("file,age\n0.png,-5\n", "line 2: age '-5' is none of"),
        ("file,age\n0.png,200\n", "line 2: an age of 200 years"),
        ("file,part\n0.png,Dev\n", "line 2: part 'Dev'"),
        ("Photo;Sex\n0.png;m\n", "no column 'file'; its columns are 'Photo', 'Sex'"),
        ("file|gender\n0.png|m\n", r"no column 'file'; its columns are 'file\|gender'"),
        ("file,gender,Gender\n0.png,m,f\n", "names the column 'gender' twice"),
        ("file,gender\na,b.png,male\n", "line 2: 3 cells, the header names 2 columns"),
        ("", "is empty; its first line names the columns, such as file"),
        ("\n\n", "is empty"),
        (b"file\n\xe9.png\n", r"cannot be read as text \(UnicodeDecodeError\); save it as UTF-8"),
    ],
)
def test_what_is_wrong_is_quoted_as_it_was_written(labelled, table, message):
    with pytest.raises(DataError, match=message):
        labelled(table)


def test_a_row_knows_its_line_after_blank_lines_and_cells_of_several_lines(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,b\n\n1,"two\nlines"\n\n3,4\n')
    assert [(row.line, row["a"], row["b"]) for row in read_csv(path, {"a"})] == [(3, "1", "two\nlines"), (6, "3", "4")]
