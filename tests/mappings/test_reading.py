"""Bytes as rows: any cut, any encoding, and what is broken."""

import csv
import gzip
import io
import json
import tracemalloc

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from app.mappings.detection import detect
from app.mappings.document import FileForm
from app.mappings.faults import UnreadableFile
from app.mappings.reading import Reader, refusals_header
from app.mappings.rows import BadRow, Limits, Row
from tests.mappings.files import SAMPLES, pieces, rows_of

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffd\ufeff"), max_size=12
)
TABLES = st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=8)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030"]


def written(table, end="\n", delimiter=","):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("first", "second", "third"), *table])
    return out.getvalue()


@given(TABLES, st.lists(ENDS, min_size=9, max_size=9), st.integers(1, 60),
       st.sampled_from(ENCODINGS))  # fmt: skip
def test_any_text_comes_back_however_it_is_cut_encoded_and_its_lines_end(
    table, ends, size, encoding
):
    parts = [written([row]).split("\n", 1)[1].removesuffix("\n") for row in table]
    lines = ["first,second,third", *parts]
    text = "".join(line + end for line, end in zip(lines, ends, strict=False))
    said = None if encoding in ("utf-8", "utf-8-sig", "utf-16") else FileForm(encoding=encoding)
    found = rows_of(text.encode(encoding), size=size, said=said)
    assert [tuple(row.fields) for row in found] == table
    assert [row.row for row in found] == list(range(1, len(table) + 1))
    assert lines[0] + ends[0] + "".join(row.raw for row in found) == text


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_are_rows_or_a_clear_error_and_the_cut_makes_no_difference(data, size):
    def outcome(size):
        try:
            return rows_of(b"a,b\n" + data, size=size, said=FileForm(form="csv", delimiter=","))
        except UnreadableFile as error:
            return error.code

    assert outcome(size) == outcome(10_000)


@given(st.lists(st.dictionaries(TEXTS, TEXTS | st.integers() | st.booleans() | st.none()),
                min_size=1, max_size=6),
       st.integers(1, 40), st.sampled_from([None, 1]))  # fmt: skip
def test_objects_of_an_answer_come_back_however_it_is_cut(objects, size, indent):
    answer = {"traceId": "x]}", "data": {"note": [1, {"a": "["}], "dataList": objects}, "end": 1}
    data = json.dumps(answer, indent=indent, ensure_ascii=False).encode()
    found = rows_of(data, size=size)
    assert [row.fields for row in found] == objects
    assert [json.loads(row.raw) for row in found] == objects
    assert all("\n" not in row.raw.rstrip("\n") for row in found)


def test_answers_that_follow_each_other_are_one_file():
    page = json.dumps({"data": {"dataList": [{"_id": "a"}, {"_id": "b"}]}})
    assert len(rows_of((page + "\n" + page).encode())) == 4


def test_refused_objects_of_an_answer_are_read_by_the_same_mapping_one_a_line():
    data = (SAMPLES / "fxiaoke_salesorderobj.json").read_bytes()
    refused = "".join(row.raw for row in rows_of(data)[2:5]).encode()
    again = rows_of(refused)
    assert detect(refused).form == "ndjson"
    assert [row.fields for row in again] == [row.fields for row in rows_of(data)[2:5]]


@pytest.mark.parametrize("name", ["shopify_orders.csv", "fxiaoke_accountobj.json"])
def test_reading_goes_on_after_any_row(name):
    data = (SAMPLES / name).read_bytes()
    whole = rows_of(data)
    for skip in range(len(whole) + 1):
        assert rows_of(data, skip=skip, size=100) == whole[skip:]


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_compressed_files_are_read_and_their_members_may_follow_each_other(compress):
    plain = (SAMPLES / "zoho_deals.csv").read_bytes()
    data = compress(plain[:500]) + compress(plain[500:])
    assert rows_of(data, size=7) == rows_of(plain)


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_of_a_file_that_ends_too_early_what_came_before_is_read(compress):
    lines = "".join(f"{n},{n * n * 7919 % 1_000_003}\n" for n in range(60_000))
    data = compress(("id,value\n" + lines).encode())
    found = []
    reader = Reader(detect(data))
    for piece in pieces(data[:-20_000], 5_000):
        found += reader.feed(piece)
    with pytest.raises(UnreadableFile) as error:
        found += reader.finish()
    assert error.value.code == "truncated"
    assert 10_000 < len(found) < 60_000
    assert found[-1].fields[0] == str(len(found) - 1)


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_damaged_data_are_an_error(compress):
    data = bytearray(compress(b"id,value\n" + b"1,2\n" * 50_000))
    data[len(data) // 2 :] = b"\x55" * len(data)
    with pytest.raises(UnreadableFile) as error:
        rows_of(bytes(data))
    assert error.value.code in ("compression", "truncated")


def test_a_file_that_inflates_without_end_is_refused_in_flat_memory():
    data = gzip.compress(b"id,value\n" + b"0" * 40_000_000)
    limits = Limits(free=1_000_000)
    tracemalloc.start()
    with pytest.raises(UnreadableFile) as error:
        rows_of(data, limits=limits)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.value.code == "decompression_bomb"
    assert peak < 8_000_000


def test_a_line_that_is_too_long_is_rejected_and_the_next_ones_are_read():
    data = b'id,value\n1,a\n2,"' + b"x" * 3_000_000 + b'"\n3,c\r\n'
    first, second, third = rows_of(data, size=65_536)
    assert (first.fields, third.fields) == (["1", "a"], ["3", "c"])
    assert isinstance(second, BadRow)
    assert second.problem.code in ("line_too_long", "ragged")
    assert len(second.raw) <= 1_048_600
    assert (first.line, second.line, third.line) == (2, 3, 4)


def test_a_field_that_is_too_long_is_named():
    data = b"id,value\n1," + b"x" * 70_000 + b"\n2,b\n"
    bad, good = rows_of(data)
    assert bad.problem[:2] == ("value", "field_too_long")
    assert good.fields == ["2", "b"]


def test_a_quote_that_is_never_closed_rejects_its_line_and_no_other():
    data = b'id,value\n1,"a\n' + b"".join(b"%d,b\n" % n for n in range(2, 2_000))
    found = rows_of(data)
    assert isinstance(found[0], BadRow)
    assert all(isinstance(row, Row) for row in found[1:])
    assert len(found) == 1_999


def test_ragged_lines_nul_and_foreign_bytes_are_rejected_with_number_field_and_reason():
    data = b"id,value\n1,a,b\n2\n3,c\0d\n4,\xff\n5,e\n"
    found = rows_of(data, said=FileForm(encoding="utf-8"))
    told = [(row.line, row.problem.column, row.problem.code) for row in found[:4]]
    assert told == [(2, None, "ragged"), (3, None, "ragged"), (4, "value", "nul"),
                    (5, "value", "undecodable")]  # fmt: skip
    assert found[4].fields == ["5", "e"]
    assert found[2].raw == "3,c\0d\n"


def test_lines_of_objects_that_are_none_are_rejected():
    data = b'{"a": "1"}\n{"a": \n[1]\n{"a": NaN}\n\n{"a": "\\u0000"}\n{"a": "\\ud800"}\n{"a": 2}'
    found = rows_of(data)
    codes = [row.problem.code for row in found if isinstance(row, BadRow)]
    assert codes == ["json", "not_an_object", "json", "nul", "undecodable"]
    assert [row.line for row in found] == [1, 2, 3, 4, 6, 7, 8]


def test_objects_with_numbers_beyond_all_bounds_are_rejected():
    texts = ["1e999", "-1e400", '{"deep": [1e309]}', "1" * 320 + ".5", "1e308", "1" * 310]
    data = "\n".join(f'{{"a": {text}}}' for text in texts).encode()
    codes = [row.problem.code if isinstance(row, BadRow) else None for row in rows_of(data)]
    assert codes == ["out_of_range"] * 4 + [None] * 2


def test_objects_as_deep_as_a_stack_are_rejected():
    data = b'{"a": "1"}\n{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}\n"
    assert [type(row) for row in rows_of(data)] == [Row, BadRow]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"PK\x03\x04rest of a sheet", "binary"),
        (bytes(range(256)) * 8, "binary"),
        (b"a\0b,customer,order\n" + b"1,2,3\n" * 9, "binary"),
        ("a,b\n1,2\n".encode("utf-32"), "binary"),
        (b",".join(b"c%d" % n for n in range(5_001)) + b"\n1\n", "too_many_columns"),
        (json.dumps({f"c{n}": 1 for n in range(5_001)}).encode(), "too_many_columns"),
        (json.dumps({f"c{n}": 1 for n in range(60_000)}).encode(), "json"),
        (b"1,2,3\n4,5,6\n", "missing_header"),
        (b"2024-01-01,ann@example.com\n", "missing_header"),
        (b",,\n1,2,3\n", "missing_header"),
        (b"id,id,amount\n1,2,3\n", "double_header"),
        (b'{"errorCode": 11, "errorMessage": "no access", "data": {}}', "error_answer"),
        (b'{"status": "ok"', "json"),
        (b"[1, 2", "json"),
    ],
)
def test_a_file_that_is_none_is_a_clear_error(data, code):
    with pytest.raises(UnreadableFile) as error:
        detect(data)
    assert error.value.code == code
    assert error.value.detail


def test_of_several_lists_in_an_answer_the_likeliest_is_taken():
    within = [{"data": {"dataList": [{"id": 1}]}}]
    answer = {"other": within, "orders": [{"id": 2}], "results": [{"id": 3}]}
    assert detect(json.dumps(answer).encode()).list_at == "/results"
    answer["data"] = {"dataList": [{"id": 4}]}
    assert detect(json.dumps(answer).encode()).sample == (("4",),)
    # Of what is cut off, what comes before that is seen.
    cut = json.dumps({"orders": [], "items": [{"id": n} for n in range(99_999)]}).encode()
    assert detect(cut).list_at == "/items"


def test_objects_without_a_key_in_common_give_a_short_sample():
    rows = [{f"k{n}.{place}": 1 for place in range(25)} for n in range(200)]
    detected = detect("\n".join(map(json.dumps, rows)).encode())
    assert (len(detected.columns), len(detected.sample)) == (5_000, 40)


def test_a_delimiter_that_parts_nothing_is_told_with_the_one_that_does():
    data = b"id;amount\n1;2,5\n2;3,5\n"
    assert detect(data).delimiter == ";"
    with pytest.raises(UnreadableFile) as error:
        detect(data, FileForm(delimiter="\t"))
    assert error.value.code == "wrong_delimiter"
    assert "';'" in error.value.hint


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(delimiter):
    text = written([("a;b", "c,d", "e\tf|"), ("1", "2", "3")], delimiter=delimiter)
    assert detect(text.encode()).delimiter == delimiter
    assert tuple(rows_of(text.encode())[0].fields) == ("a;b", "c,d", "e\tf|")


def test_columns_that_stand_under_each_other_are_parted_at_blanks():
    data = b" customer  date     value\r\n 00001 19970101   11.77\r\n 00002 19970112  12.00\r\n"
    assert [row.fields for row in rows_of(data)] == [
        ["00001", "19970101", "11.77"], ["00002", "19970112", "12.00"],
    ]  # fmt: skip


def test_a_file_of_a_spreadsheet_says_its_own_delimiter():
    data = b"sep=;\r\nid;name\r\n1;a,b\r\n"
    assert [(row.line, row.fields) for row in rows_of(data)] == [(3, ["1", "a,b"])]


@pytest.mark.parametrize(
    ("encoding", "detected", "certain"),
    [
        ("utf-8", "utf-8", True),
        ("utf-8-sig", "utf-8", True),
        ("utf-16", "utf-16-le", True),
        ("utf-16-be", "utf-16-be", False),
        ("gb18030", "gb18030", False),
    ],
)
def test_encodings_are_found_and_it_is_said_how_sure(encoding, detected, certain):
    text = "编号,姓名,城市\n1,王小明,上海\n2,顾澜,苏州\n"
    found = detect(text.encode(encoding))
    assert (found.encoding, found.encoding_certain) == (detected, certain)
    assert found.columns == ("编号", "姓名", "城市")
    assert bool(found.notes) is not certain


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_texts_of_western_europe_are_not_taken_for_chinese(encoding):
    text = "id,name,note\n1,José-María de la Fuente y Álvarez,größer\n2,Zoë,naïve\n"
    text += "3,x,€5\n" if encoding == "cp1252" else ""
    found = detect(text.encode(encoding))
    assert (found.encoding, found.encoding_certain) == (encoding, False)
    assert rows_of(text.encode(encoding))[0].fields[1] == "José-María de la Fuente y Álvarez"


def test_columns_that_are_said_stand_for_a_header():
    said = FileForm(columns=["id", "value"])
    assert [row.fields for row in rows_of(b"1,2\n3,4\n", said=said)] == [["1", "2"], ["3", "4"]]
    with pytest.raises(UnreadableFile):
        detect(b"1,2,3\n", said)


def test_the_last_row_needs_no_line_end():
    detected = detect(b"id,value\n1,a")
    assert (detected.sample, detected.notes) == ((("1", "a"),), ())
    assert [row.fields for row in rows_of(b"id,value\n1,a")] == [["1", "a"]]
    assert detect(b"id,value").sample == ()


def test_refused_rows_make_a_file_of_the_shape_of_the_first():
    data = (SAMPLES / "shopify_orders.csv").read_bytes()
    detected = detect(data)
    again = (refusals_header(detected) + "".join(row.raw for row in rows_of(data))).encode()
    assert detect(again).columns == detected.columns
    assert [row.fields for row in rows_of(again)] == [row.fields for row in rows_of(data)]


def test_memory_does_not_grow_with_the_file():
    def piece(start):
        return "".join(f'{n},"some, text {n}"\n' for n in range(start, start + 1_000)).encode()

    detected = detect(b"id,value\n" + piece(0))
    reader = Reader(detected)
    peaks = []
    for part in range(2):
        tracemalloc.start()
        for start in range(part * 10_000, (part + 1) * 10_000, 1_000):
            for _ in reader.feed((b"id,value\n" if start == 0 else b"") + piece(start)):
                pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert reader.rows == 20_000
    assert peaks[1] < peaks[0] * 1.2


def test_an_answer_of_brackets_alone_is_refused_in_flat_memory():
    data = b'{"a": ' + b"[" * 3_000_000
    with pytest.raises(UnreadableFile) as error:
        rows_of(data, said=FileForm(form="json", list_at="/data"))
    assert error.value.code == "json"


def test_many_empty_members_take_no_time_that_grows_with_their_square():
    data = gzip.compress(b"id,value\n1,a\n") + gzip.compress(b"") * 20_000 + gzip.compress(b"2,b\n")
    assert [row.fields for row in rows_of(data, size=65_536)] == [["1", "a"], ["2", "b"]]
