"""Does a folder remember its runs, and forget nothing that a later start needs?"""

import json

import pytest

from tomovox.schema import TomovoxError
from tomovox.tracking import kept
from tomovox.tracking.kept import IDS, Kept, folder_key


def test_a_folder_that_keeps_nothing_has_a_key_only(tmp_path):
    assert Kept.read(tmp_path) == Kept(key=folder_key(tmp_path))
    assert not list(tmp_path.iterdir())


def test_what_is_written_is_read_again(tmp_path):
    written = Kept("one", "key", "http://host", "../one.yaml", "p", {"a-s0": "c"}, {"c": {}}, True)
    written.write(tmp_path)
    assert Kept.read(tmp_path) == written


def test_the_key_outlives_a_change_of_machine(tmp_path, monkeypatch):
    Kept.read(tmp_path).write(tmp_path)
    before = Kept.read(tmp_path).key
    monkeypatch.setattr(kept.platform, "node", lambda: "elsewhere")
    assert Kept.read(tmp_path).key == before


def test_one_path_on_two_machines_has_two_keys(tmp_path, monkeypatch):
    before = folder_key(tmp_path)
    monkeypatch.setattr(kept.platform, "node", lambda: "elsewhere")
    assert folder_key(tmp_path) != before


def test_a_file_of_an_older_version_keeps_its_ids(tmp_path):
    old = {"parent": "p", "children": {"a-s0": "c"}, "strange": 1}
    (tmp_path / IDS).write_text(json.dumps(old), encoding="utf-8")
    found = Kept.read(tmp_path)
    assert (found.parent, found.children, found.pending) == ("p", {"a-s0": "c"}, False)


def test_a_broken_file_says_what_to_do(tmp_path):
    (tmp_path / IDS).write_text("{", encoding="utf-8")
    with pytest.raises(TomovoxError, match=r"mlflow\.json: no readable JSON .*remove the file"):
        Kept.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("children", {"a-s0": 1}), ("sent", {"a": "b"}), ("pending", 1), ("parent", None)],
)
def test_a_value_of_another_kind_is_named(tmp_path, name, value):
    (tmp_path / IDS).write_text(json.dumps({name: value}), encoding="utf-8")
    with pytest.raises(TomovoxError, match=rf"mlflow\.json: {name} .*remove the file"):
        Kept.read(tmp_path)
