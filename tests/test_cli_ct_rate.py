"""Does the command take CT-RATE from download to training data, and say what it did?"""

from pathlib import Path

import numpy as np
import pytest

from tomovox.cli import main
from tomovox.configuration import instantiate
from tomovox.data.phantom_ct_rate import write_prepared_ct_rate


def written(root: Path) -> Path:
    arguments = ["--layout", "ct_rate", "--cases", "4", "--shape", "8,16,16", "--workers", "1"]
    assert main(["data", "phantom", str(root), *arguments]) == 0
    return root


@pytest.fixture
def raw(tmp_path) -> Path:
    return written(tmp_path / "raw")


def prepare(raw: Path, out: Path, *options: str) -> int:
    arguments = [str(raw), str(out), "--shape", "8,16,16", "--workers", "1", *options]
    return main(["data", "prepare", *arguments])


def test_a_phantom_says_how_to_prepare_it(tmp_path, capsys):
    raw = written(tmp_path / "raw")
    assert f"tomovox data prepare {raw} DIR --shape 8,16,16" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--refseg", "--organ-masks", "--native"])
def test_options_that_the_layout_has_not_are_refused(tmp_path, capsys, option):
    assert main(["data", "phantom", str(tmp_path / "raw"), "--layout", "ct_rate", option]) == 2
    assert option[2:].replace("-", "_") in capsys.readouterr().err
    assert not (tmp_path / "raw").exists()


def test_prepare_counts_volumes_and_questions(raw, tmp_path, capsys):
    assert prepare(raw, tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert "prepared, 0 already there" in told and " choice, " in told and " short" in told


def test_prepare_keeps_all_slices_as_scanned(raw, tmp_path):
    options = ("--depth", "native", "--spacing", "0,.75,.75")
    assert prepare(raw, tmp_path / "out", *options) == 0
    shapes = {np.load(path).shape for path in (tmp_path / "out").rglob("*.npy")}
    assert len({shape[1] for shape in shapes}) > 1 and {shape[2:] for shape in shapes} == {(16, 16)}


def test_prepare_exits_1_and_prints_what_is_left_out(raw, tmp_path, capsys):
    next(raw.rglob("train_*_1.nii.gz")).write_bytes(b"no image")
    assert prepare(raw, tmp_path / "out") == 1
    assert "not a readable NIfTI file" in capsys.readouterr().out


def test_check_of_what_is_not_prepared_exits_2(raw, capsys):
    assert main(["data", "check", str(raw)]) == 2
    assert "run tomovox data prepare" in capsys.readouterr().err


def test_a_plane_or_the_spacing_of_other_scans_is_refused(raw, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["data", "prepare", str(raw), out, "--plane", "coronal"]) == 2
    assert main(["data", "prepare", str(tmp_path), out, "--spacing", "1,1,1"]) == 2
    assert "CT-RATE" in capsys.readouterr().err


@pytest.mark.parametrize(("series", "most"), [("own", 1), ("case", 2)])
def test_a_scan_is_shown_with_one_or_all_of_its_reconstructions(tmp_path, series, most):
    shape = (8, 16, 16)
    write_prepared_ct_rate(tmp_path / "d", tmp_path / "raw", cases=6, seed=1, shape=shape)
    config = {
        "model": {
            "class_path": "tomovox.models.floors.BlindLM",
            "init_args": {
                "language": {
                    "model_type": "llama",
                    "architecture": {"hidden_size": 16, "num_hidden_layers": 1},
                }
            },
        },
        "data": {
            "root": str(tmp_path / "d"),
            "series": series,
            "tell_series": True,
            "template": {"class_path": "tomovox.data.prompts.Template", "init_args": {}},
        },
        "trainer": {"logger": False},
    }
    data = instantiate(config, "test").datamodule
    data.setup("fit")
    data.setup("predict")
    batches = list(data.predict_dataloader())
    assert max(len(batch.studies.voxels) for batch in batches) == most
    assert {len(batch.studies) for batch in batches} == {1}
    told = [batch.studies.kernel for batch in batches if batch.records[0].task == "report"]
    assert told and all(all(kernels) for kernels in told)
