"""The file of figures is whole or stays as it was, and never holds those of two machines."""

import pytest

HEADER = {"command": "new", "reduced": False, "device": {"name": "one"}, "machine": {}, "versions": {"torch": "2.11"}}


@pytest.fixture
def report(script):
    return script("report")


def test_figures_that_cannot_be_written_leave_the_old_ones(report, tmp_path):
    path = tmp_path / "gpu.json"
    report.write(path, {"a": 1})
    with pytest.raises(TypeError):
        report.write(path, {"a": object()})
    assert report.read(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "{", "[1"])
def test_a_damaged_file_counts_as_none(report, tmp_path, text):
    path = tmp_path / "gpu.json"
    path.write_text(text)
    assert report.read(path) is None
    assert report.continued(path, HEADER) == (HEADER | {"sections": {}}, [])


@pytest.mark.parametrize("change", [{"reduced": True}, {"device": {"name": "two"}}, {"versions": {"torch": "2.13"}}])
def test_sections_of_another_machine_are_dropped(report, tmp_path, change):
    path = tmp_path / "gpu.json"
    report.write(path, HEADER | change | {"sections": {"lora": {"status": "done"}}})
    assert report.continued(path, HEADER) == (HEADER | {"sections": {}}, ["lora"])


def test_sections_of_the_same_machine_stay(report, tmp_path):
    path = tmp_path / "gpu.json"
    report.write(path, HEADER | {"command": "old", "sections": {"lora": {"status": "done"}}})
    assert report.continued(path, HEADER) == (HEADER | {"sections": {"lora": {"status": "done"}}}, [])
