"""Do the drawings of a folder come into a page in the order of their questions?"""

import pytest

from tomovox.report.drawings import figures_in
from tomovox.schema import TomovoxError


def test_drawings_stand_in_the_order_of_their_questions(tmp_path):
    for stem in ("case-b", "curves", "case-a", "depth", "mine"):
        (tmp_path / f"{stem}.svg").write_text(f"<svg>{stem}</svg>", encoding="utf-8")
    (tmp_path / "depth.pdf").touch()
    found = figures_in(tmp_path)
    drawn = [figure.svg[5:-6] for figure in found]
    assert drawn == ["depth", "curves", "mine", "case-a", "case-b"]
    assert found[2].caption == "mine" and found[3].caption.endswith(": a.")
    assert figures_in(tmp_path / "gone") == []


def test_a_drawing_that_is_no_text_is_named(tmp_path):
    (tmp_path / "depth.svg").write_bytes(b"<svg>\xff")
    with pytest.raises(TomovoxError, match=r"depth\.svg: cannot be read"):
        figures_in(tmp_path)
