"""Does preparing CT-RATE leave a tree that reads, and say of everything that is left out?"""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ct_rate_tree import SETTINGS, CtRate, hu

from tomovox.data.ct_rate_records import kernels
from tomovox.data.prepare_ct_rate import prepare_ct_rate
from tomovox.data.records import read_records
from tomovox.data.volumes import read_volume
from tomovox.schema import Task, TomovoxError

CHOICES = "Where? (a) right (b) left"


@pytest.fixture
def source(tmp_path) -> CtRate:
    return CtRate(tmp_path / "raw")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "prepared"


def left_out(target) -> str:
    return (target / "not_prepared.tsv").read_text(encoding="utf-8")


def test_raw_and_corrected_volumes_of_every_vendor_become_the_same_hu(source, target):
    source.volume("train_1_a_1", intercept=-1024, fixed=False)
    source.volume("train_2_a_1", intercept=-8192, fixed=False)
    source.volume("valid_1_a_1", intercept=-8192, fixed=True)
    source.prepare(target, format="float32")
    records = [r for s in ("train", "test") for r in read_records(target, Task.REPORT, s)]
    volumes = [read_volume(target, r.volumes[0], r.id) for r in records]
    for volume in volumes:
        np.testing.assert_allclose(volume[0], (hu() + 1000) / 2000, atol=1e-6)


def test_the_table_says_how_values_became_hu(source, target):
    source.volume("train_1_a_1", intercept=-8192, fixed=False)
    source.volume("valid_1_a_1")
    source.prepare(target)
    table = (target / "prepared.tsv").read_text(encoding="utf-8")
    assert "slope 1, intercept -8192" in table and "as stored" in table


def test_a_scan_that_is_not_in_hu_is_listed_and_the_others_are_prepared(source, target):
    source.volume("valid_1_a_1", hu() + np.int16(5000))
    source.volume("valid_2_a_1")
    outcome = source.prepare(target)
    assert outcome.volumes.prepared == 1 and len(outcome.volumes.refused) == 1
    assert "valid_1_a_1.nii.gz\tno HU" in left_out(target)


def test_a_refused_volume_keeps_its_records_so_that_tables_say_it_is_missing(source, target):
    source.volume("valid_1_a_1", hu() + np.int16(5000))
    source.volume("valid_2_a_1")
    source.prepare(target)
    assert len(read_records(target, Task.REPORT, "test")) == 2


def test_volumes_that_were_not_downloaded_are_counted_and_have_no_records(source, target):
    source.volume("valid_1_a_1")
    source.volume("valid_2_a_1").unlink()
    source.ask("valid_2_a_1", "short_answer", "Q?", "A.")
    source.ask("valid_1_a_1", "short_answer", "Q?", "A.")
    outcome = source.prepare(target)
    assert outcome.absent == 1
    assert (target / "not_downloaded.tsv").read_text() == "volume\nvalid_2_a_1.nii.gz\n"
    assert outcome.questions == {"short": 1, "about other volumes": 1}
    assert [r.case for r in read_records(target, Task.REPORT, "test")] == ["valid_1"]


def test_a_volume_without_report_or_metadata_is_listed(source, target):
    source.volume("valid_1_a_1")
    source.volume("valid_2_a_1")
    source.volume("valid_3_a_1")
    source.reports["valid"].pop(0)
    source.metadata["valid"].pop(1)
    outcome = source.prepare(target)
    assert outcome.volumes.prepared == 1
    assert "valid_1_a_1.nii.gz\tno report names it" in left_out(target)
    assert "valid_2_a_1.nii.gz\tthe metadata have no row of it" in left_out(target)


def test_questions_of_all_forms_are_counted_and_bad_ones_listed(source, target):
    source.volume("valid_1_a_1")
    source.ask("valid_1_a_1", "multiple_choice", CHOICES, "(a) right")
    source.ask("valid_1_a_1", "multiple_choice", "Where?", "(a) right")
    source.ask("valid_1_a_1", "long_answer", "What?", "This.")
    source.ask("valid_1_a_1", "report_generation", "Report.", "Text.")
    source.questions["valid"].append({"conversations": []})
    outcome = source.prepare(target)
    assert outcome.questions == {"choice": 1, "long": 1, "rg": 1, "about no volume": 1}
    assert "item 1\tno question of choices: it has no choice (a)" in left_out(target)


def test_the_files_of_one_form_are_lists(source, target):
    source.volume("valid_1_a_1")
    for answer in ("Yes.", 'A "quoted" (one).'):
        source.ask("valid_1_a_1", "short_answer", "Q?", answer)
    source.prepare(target)
    items = json.loads((target / "dataset" / "vqa" / "valid_short.json").read_text("utf-8"))
    assert [item["answer"] for item in items] == ["Yes.", 'A "quoted" (one).']


def test_questions_that_lie_there_in_both_layouts_are_asked_once(source, target):
    source.volume("valid_1_a_1")
    source.ask("valid_1_a_1", "short_answer", "Q?", "A.")
    source.write()
    other = source.base / "vqa" / "valid_short.json"
    other.write_text(json.dumps([{"vision3d": "valid_1_a_1", "question": "Q?", "answer": "A."}]))
    assert source.prepare(target).questions == {"short": 1}
    assert "valid_short.json\tits questions are in valid_vqa.json too" in left_out(target)


def test_a_stopped_run_goes_on(source, target):
    for name in ("valid_1_a_1", "valid_2_a_1"):
        source.volume(name)
    source.prepare(target)
    first = (target / "prepared.tsv").read_text()
    (target / "dataset/valid_fixed/valid_1/valid_1_a/valid_1_a_1.npy").unlink()
    outcome = prepare_ct_rate(source.root, target, SETTINGS)
    assert (outcome.volumes.prepared, outcome.volumes.skipped) == (1, 1)
    assert (target / "prepared.tsv").read_text() == first


def test_what_is_prepared_stays_when_its_source_makes_room_for_more(source, target):
    for name in ("valid_1_a_1", "train_1_a_1"):
        path = source.volume(name, fixed=name.startswith("valid"))
        source.ask(name, "short_answer", "Q?", "A.")
        outcome = source.prepare(target)
        for folder in (path, *path.parents[:3]):
            folder.unlink() if folder.is_file() else folder.rmdir()
    assert (outcome.volumes.prepared, outcome.volumes.skipped, outcome.absent) == (1, 1, 0)
    assert source.prepare(target).volumes.skipped == 2
    for split, volume in (("test", "valid_fixed/valid_1"), ("train", "train/train_1")):
        for task in (Task.REPORT, Task.VQA_OPEN):
            (record,) = read_records(target, task, split)
            assert record.volumes[0].startswith(f"dataset/{volume}")
            read_volume(target, record.volumes[0], record.id)


def test_the_folder_of_another_preparation_is_left_as_it_is(source, target):
    source.volume("valid_1_a_1")
    target.mkdir()
    (target / "prepare.json").write_text("{}")
    (target / "prepared.tsv").write_text("source\toutput\na\tb\n")
    with pytest.raises(TomovoxError, match="other settings"):
        source.prepare(target)
    assert (target / "prepared.tsv").read_text() == "source\toutput\na\tb\n"


def test_rows_that_are_listed_as_faults_are_not_in_the_tables(source, target):
    for name in ("valid_1_a_1", "valid_2_a_1"):
        source.volume(name)
    source.reports["valid"].append(source.reports["valid"][0])
    source.metadata["valid"][1]["ZSpacing"] = "thick"
    source.prepare(target)
    assert "valid_1_a_1 stands there twice" in left_out(target)
    assert "not the numbers of a scan" in left_out(target)
    assert len(read_records(target, Task.REPORT, "test")) == 2
    assert [Path(path).stem for path in kernels(target)] == ["valid_1_a_1"]


def test_two_files_of_one_name_are_listed(source, target):
    path = source.volume("valid_1_a_1")
    copy = path.parent / "copy" / path.name
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    assert source.prepare(target).volumes.prepared == 1
    assert f"{path}\thas the name of {copy}" in left_out(target)


def test_a_split_without_volumes_needs_no_metadata(source, target):
    source.volume("valid_1_a_1")
    source.volume("train_1_a_1").unlink()
    source.write()
    (source.base / "metadata" / "train_metadata.csv").unlink()
    outcome = prepare_ct_rate(source.root, target, SETTINGS)
    assert (outcome.volumes.prepared, outcome.absent, outcome.volumes.refused) == (1, 1, ())


def test_other_settings_are_refused(source, target):
    source.volume("valid_1_a_1")
    source.prepare(target)
    with pytest.raises(TomovoxError, match="other settings"):
        source.prepare(target, shape=(7, 8, 8))


def test_several_processes_write_the_same_bytes(source, target, tmp_path):
    for k in range(1, 4):
        source.volume(f"valid_{k}_a_1", hu(k))
    source.prepare(target)
    prepare_ct_rate(source.root, tmp_path / "other", SETTINGS, workers=2)
    files = [p for p in target.rglob("*") if p.is_file()]
    assert len(files) > 6
    for path in files:
        assert path.read_bytes() == (tmp_path / "other" / path.relative_to(target)).read_bytes()


def test_tables_in_the_root_are_read_too(tmp_path, target):
    source = CtRate(tmp_path / "raw", base="")
    source.volume("valid_1_a_1")
    source.prepare(target)
    assert len(read_records(target, Task.REPORT, "test")) == 1


def test_a_folder_without_volumes_says_where_they_belong(source, target):
    source.volume("valid_1_a_1").unlink()
    with pytest.raises(TomovoxError, match="none of the volumes"):
        source.prepare(target)


def test_other_data_are_refused(tmp_path, target):
    tmp_path.joinpath("scans").mkdir()
    nib.save(nib.Nifti1Image(hu(), np.eye(4)), tmp_path / "scans" / "a.nii.gz")
    with pytest.raises(TomovoxError, match="no CT-RATE"):
        prepare_ct_rate(tmp_path / "scans", target, SETTINGS)
