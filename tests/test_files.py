"""Is a file whole, whatever ended the write of it or of its last line?"""

import errno
import os

import pytest

from tomovox.files import append_lines, mend_last_line
from tomovox.schema import TomovoxError


def test_lines_follow_each_other(tmp_path):
    append_lines(tmp_path / "a", ["ü"])
    append_lines(tmp_path / "a", ["b", "c"])
    assert (tmp_path / "a").read_text("utf-8") == "ü\nb\nc\n"


def test_a_torn_line_is_cut_off_before_the_next_and_counted(tmp_path, capsys):
    (tmp_path / "a").write_bytes(b'{"id": 1}\n{"id": 2')
    append_lines(tmp_path / "a", ["{}"])
    assert (tmp_path / "a").read_text() == '{"id": 1}\n{}\n'
    assert capsys.readouterr().err == f"{tmp_path / 'a'}: 1 torn line (8 bytes) is cut off\n"


@pytest.mark.parametrize("whole", [b"", b"\n", b"a\nb\n"])
def test_whole_lines_are_left_alone(tmp_path, capsys, whole):
    (tmp_path / "a").write_bytes(whole)
    mend_last_line(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == whole and not capsys.readouterr().err


def test_a_full_disk_leaves_the_lines_of_before(tmp_path, monkeypatch):
    write, room = os.write, [3]

    def until_full(file, data):
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data[: room.pop()])

    append_lines(tmp_path / "a", ["before"])
    monkeypatch.setattr(os, "write", until_full)
    with pytest.raises(TomovoxError, match=r"a: cannot be written \(No space left.*mend"):
        append_lines(tmp_path / "a", ["too long"])
    assert (tmp_path / "a").read_text() == "before\n"
