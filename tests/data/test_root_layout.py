"""Is a data root known by its files?"""

from ct_rate_tree import CtRate

from tomovox.data.root_layout import CT_RATE, M3D, has_split, layout_of


def test_reports_make_a_ct_rate_and_anything_else_is_m3d(tmp_path):
    (tmp_path / "other").mkdir()
    source = CtRate(tmp_path / "raw")
    source.volume("valid_1_a_1")
    assert layout_of(source.write().root) == CT_RATE
    assert layout_of(tmp_path / "other") == layout_of(tmp_path / "nothing") == M3D


def test_ct_rate_has_no_validation_split_beside_what_papers_report_on(tmp_path):
    source = CtRate(tmp_path / "raw")
    source.volume("valid_1_a_1")
    source.write()
    assert not has_split(source.root, "val")
    assert has_split(source.root, "test") and has_split(tmp_path, "val")
