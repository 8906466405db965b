"""Jobs are done once each, after what they need, and an error stops the rest."""

from pathlib import Path

import pytest
import torch

from tomovox.progress import Job, do_all
from tomovox.schema import TomovoxError


def note(path: str) -> None:
    """Append the name of the job, and what it found done before it, to a file of its own."""
    place = Path(path)
    before = sorted(p.name for p in place.parent.iterdir())
    place.write_text(f"{torch.get_num_threads()} {' '.join(before)}", encoding="utf-8")


def fail(path: str) -> None:
    raise TomovoxError(f"{path}: broken")


@pytest.mark.parametrize("processes", [1, 2])
def test_a_job_starts_after_those_it_needs(processes, tmp_path):
    needs = {"a": frozenset(), "b": frozenset(), "c": frozenset({"a", "b"})}
    do_all([Job(k, note, str(tmp_path / k), n) for k, n in needs.items()], processes, 1)
    assert (tmp_path / "c").read_text(encoding="utf-8") == "1 a b"


@pytest.mark.parametrize("processes", [1, 2])
def test_the_first_error_is_raised_as_it_is(processes, tmp_path):
    jobs = [Job("a", fail, "here"), Job("b", note, str(tmp_path / "b"), frozenset({"a"}))]
    with pytest.raises(TomovoxError, match=r"^here: broken$"):
        do_all(jobs, processes, 1)
    assert not (tmp_path / "b").exists()


def test_the_number_of_threads_is_restored():
    before = torch.get_num_threads()
    do_all([Job("a", str, "x")], processes=1, threads=1)
    assert torch.get_num_threads() == before
