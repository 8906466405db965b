"""Are the data of an experiment made once, where all its rows find them?"""

from pathlib import Path

import pytest

from tomovox.data.experiment_data import DataSource, SampleData
from tomovox.schema import TomovoxError
from tomovox.stages import SharedStages, StagePlan


def _plan(folder: Path, source: DataSource) -> StagePlan:
    return StagePlan(folder, source, SharedStages(), seed=0)


@pytest.fixture
def written(monkeypatch):
    calls = []

    def write(root, shape, archives):
        calls.append((shape, archives))
        root.mkdir(parents=True)
        (root / "sample.json").touch()

    monkeypatch.setattr("tomovox.stages.write_sample", write)
    return calls


def test_the_real_sample_is_written_once(tmp_path, written):
    source = DataSource(sample=SampleData((8, 16, 16), archives="downloads"))
    roots = {_plan(tmp_path, source).data_root(workers=1) for _ in range(2)}
    assert len(roots) == 1
    assert written == [((8, 16, 16), Path("downloads"))]


def test_samples_of_two_shapes_lie_apart(tmp_path, written):
    shapes = ((8, 16, 16), (8, 32, 32))
    plans = [_plan(tmp_path, DataSource(sample=SampleData(shape))) for shape in shapes]
    assert len({plan.data_root(workers=1) for plan in plans}) == 2


def test_an_experiment_without_data_is_told_what_to_name(tmp_path):
    with pytest.raises(TomovoxError, match="no root, phantom or sample"):
        _plan(tmp_path, DataSource()).data_root(workers=1)
