"""Do the verbs of `tomovox data` say what they did, and leave with the right code?"""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tomovox.cli import main
from tomovox.data.phantom import write_phantom


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def root(tmp_path) -> Path:
    write_phantom(tmp_path / "data", cases=5, seed=0, shape=(8, 16, 16), series=1)
    return tmp_path / "data"


def test_check_says_what_is_there_and_exits_0(capsys, root):
    assert main(["data", "check", str(root)]) == 0
    assert "0 errors" in capsys.readouterr().out


def test_check_exits_1_and_reports_all_problems(capsys, tmp_path, root):
    for path in (root / "M3D_Cap_npy").glob("*/*/*.npy"):
        path.unlink()
    assert main(["data", "check", str(root), "--report", str(tmp_path / "all.tsv")]) == 1
    assert "5 errors" in capsys.readouterr().out
    assert len((tmp_path / "all.tsv").read_text().splitlines()) == 6


def scans(tmp_path: Path) -> Path:
    (tmp_path / "scans").mkdir()
    voxels = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7), dtype=np.int16)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "scans" / "a.nii.gz")
    return tmp_path / "scans"


def test_prepare_writes_volumes_and_says_by_which_window(capsys, tmp_path):
    arguments = [str(scans(tmp_path)), str(tmp_path / "out"), "--shape", "4,4,4"]
    assert main(["data", "prepare", *arguments, "--window=-600,1500"]) == 0
    assert "-600,1500" in capsys.readouterr().out
    assert np.load(tmp_path / "out" / "a.npy").shape == (1, 4, 4, 4)


def test_prepare_says_that_without_a_window_hu_are_lost(capsys, tmp_path):
    main(["data", "prepare", str(scans(tmp_path)), str(tmp_path / "out"), "--shape", "4,4,4"])
    assert "min-max" in capsys.readouterr().out


def test_prepare_exits_1_when_it_left_images_out(capsys, tmp_path):
    folder = scans(tmp_path)
    (folder / "bad.nii").write_text("no image")
    arguments = [str(folder), str(tmp_path / "out"), "--shape", "4,4,4", "--on-error", "list"]
    assert main(["data", "prepare", *arguments]) == 1
    assert "bad.nii" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["absent", "out"],
        ["scans", "scans/out"],
        ["scans", "out", "--window", "lungs"],
        ["scans", "out", "--shape", "4,4"],
        ["scans", "out", "--shape", "0,4,4"],
        ["scans", "out", "--workers", "0"],
    ],
)
def test_a_wrong_argument_of_prepare_is_one_line(capsys, tmp_path, arguments):
    scans(tmp_path)
    assert main(["data", "prepare", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# ---- M3D-Seg and M3D-RefSeg as distributed ---------------------------------------------------


def raw_refseg(tmp_path: Path) -> Path:
    scan = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7), dtype=np.int16)
    for case in ("s1", "s2"):
        (tmp_path / "raw" / case).mkdir(parents=True)
        for name, voxels in (("ct", scan), ("mask", (scan > 0).astype(np.int16))):
            image = nib.Nifti1Image(voxels, np.eye(4))
            nib.save(image, tmp_path / "raw" / case / f"{name}.nii.gz")
    return tmp_path / "raw"


PREPARE_REFSEG = ["data", "prepare-refseg", "raw", "out", "--shape", "4,5,6", "--workers", "1"]


def test_prepare_refseg_says_how_many_cases_there_are(capsys, tmp_path):
    raw_refseg(tmp_path)
    assert main(PREPARE_REFSEG) == 0
    assert "2 cases prepared" in capsys.readouterr().out
    assert np.load(tmp_path / "out" / "s1" / "mask.npy").shape == (1, 4, 5, 6)


def test_prepare_refseg_exits_1_when_it_left_cases_out(capsys, tmp_path):
    (raw_refseg(tmp_path) / "s2" / "mask.nii.gz").unlink()
    assert main(PREPARE_REFSEG) == 1
    assert "holds no mask.nii.gz" in capsys.readouterr().out


def test_prepare_seg_exits_2_where_there_is_no_m3d_seg(capsys, tmp_path):
    raw_refseg(tmp_path)
    assert main(["data", "prepare-seg", "raw", "out"]) == 2
    assert "M3D_Seg" in capsys.readouterr().err
