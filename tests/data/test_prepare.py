import csv

import numpy as np
import pytest
from scans import patient, write_dicom, write_nifti, write_nrrd, write_slices

from tomovox.data import prepare as module
from tomovox.data.image_tree import ascii_name
from tomovox.data.images import read_image
from tomovox.data.prepare import Settings, prepare, quantised, report_text
from tomovox.data.volumes import read_volume
from tomovox.schema import TomovoxError

SMALL = Settings(shape=(4, 5, 6))


@pytest.fixture
def scans(tmp_path):
    """A tree with every kind of image."""
    root = tmp_path / "scans"
    (root / "a").mkdir(parents=True)
    write_nifti(root / "a" / "ct.nii.gz")
    write_nrrd(root / "a" / "mr.nrrd")
    write_dicom(root / "b" / "Thorax é", "LPS")
    write_dicom(root / "b" / "two", uid="1.1", name="Arterial/early")
    write_dicom(root / "b" / "two", uid="1.2", number=2, name="Venous")
    volume = np.random.default_rng(0).integers(0, 255, (4, 6, 7), dtype=np.uint8)
    write_slices(root / "000001" / "Axial_lung_window", volume)
    write_slices(root / "000001" / "Axial_lung_window", volume[:1, :3], first=20)
    (root / "000001" / "text.txt").write_text(
        "Study_findings\nstudy_findings:\nA cyst.\n\nNo fluid."
    )
    return root


OUTPUTS = {
    *("a/ct.npy", "a/mr.npy", "b/Thorax e.npy", "b/two/1_Arterial_early.npy"),
    *("b/two/2_Venous.npy", "000001/Axial_lung_window.npy"),
}


def table(target) -> dict[str, dict[str, str]]:
    with (target / "prepared.tsv").open(encoding="utf-8", newline="") as stream:
        return {row["output"]: row for row in csv.DictReader(stream, delimiter="\t")}


def refusal(*arguments, **options) -> str:
    with pytest.raises(TomovoxError) as caught:
        prepare(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- what is written -------------------------------------------------------------------------


def test_outputs_keep_their_places_in_the_tree(scans, tmp_path):
    prepare(scans, tmp_path / "out", SMALL)
    found = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.npy")}
    assert found == OUTPUTS == set(table(tmp_path / "out"))


def test_every_output_is_a_volume_that_training_reads(scans, tmp_path):
    prepare(scans, tmp_path / "out", SMALL)
    shapes = {read_volume(tmp_path / "out", name, "x").shape for name in OUTPUTS}
    assert shapes == {(1, 4, 5, 6)}


def test_the_table_says_what_became_of_an_image(scans, tmp_path):
    prepare(scans, tmp_path / "out", Settings(shape=(4, 5, 6), window=(40, 400)))
    row = table(tmp_path / "out")["b/Thorax e.npy"]
    assert row["source"].startswith(str(scans / "b" / "Thorax é"))
    assert (row["source_shape"], row["spacing_mm"]) == ("6x7x8", "1x2x3")
    assert (row["source_orientation"], row["window"]) == ("LPS", "40,400")
    assert row["axes"] == "IPL: D head>feet, H front>back, W right>left"


def test_dropped_slices_are_counted(scans, tmp_path):
    prepare(scans, tmp_path / "out", SMALL)
    assert table(tmp_path / "out")["000001/Axial_lung_window.npy"]["dropped_slices"] == "1"


def test_at_native_depth_every_slice_stays_in_its_order(scans, tmp_path):
    pages = np.zeros((9, 6, 7), np.uint8)
    pages[2:, 1:5, 2:6] = 10 * np.arange(1, 8)[:, None, None]  # two empty slices come first
    write_slices(scans / "000002" / "Coronal_C__arterial_phase", pages, first=5)
    prepare(scans, tmp_path / "out", Settings(shape=(4, 4, 4), depth="native"))
    volume = np.load(tmp_path / "out" / "000002" / "Coronal_C__arterial_phase.npy")
    wanted = np.rint(255 * np.arange(-1, 8).clip(0) / 7).astype(np.uint8)
    assert np.array_equal(volume, np.broadcast_to(wanted[:, None, None], (1, 9, 4, 4)))


def test_a_series_of_one_slice_is_a_series_at_native_depth_alone(tmp_path):
    write_slices(tmp_path / "case/one", np.arange(42, dtype=np.uint8).reshape(1, 6, 7))
    fault = refusal(tmp_path / "case", tmp_path / "shape", Settings(shape=(4, 5, 6)))
    assert "is a single slice, not a volume" in fault
    prepare(tmp_path / "case", tmp_path / "native", Settings(shape=(4, 5, 6), depth="native"))
    assert np.load(tmp_path / "native/one.npy").shape == (1, 1, 5, 6)


def test_native_depths_differ_from_image_to_image(scans, tmp_path):
    prepare(scans, tmp_path / "out", Settings(shape=(4, 5, 6), depth="native"))
    shapes = {read_volume(tmp_path / "out", name, "x").shape for name in OUTPUTS}
    assert len(shapes) > 1 and {shape[2:] for shape in shapes} == {(5, 6)}


def test_the_report_of_a_case_goes_with_its_volumes(scans, tmp_path):
    prepare(scans, tmp_path / "out", SMALL)
    text = (tmp_path / "out" / "000001" / "text.txt").read_text(encoding="utf-8")
    assert text == "A cyst. No fluid.\n"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("title\nstudy_findings: A cyst.", "A cyst."),
        ("A cyst without marks.", "A cyst without marks."),
        ("discussion: A cyst.\nstudy_findings: -", "A cyst. study_findings: -"),
        ("discussion:\nstudy_findings:", "study_findings:"),
        ("A cyst. study_findings: - ", "A cyst. study_findings: -"),
    ],
)
def test_a_report_is_its_findings_else_its_discussion_else_all_of_it(raw, text):
    assert report_text(raw) == text


def test_one_file_may_be_prepared(scans, tmp_path):
    prepare(scans / "a" / "ct.nii.gz", tmp_path / "out", SMALL)
    assert set(table(tmp_path / "out")) == {"ct.npy"}


def test_one_dicom_folder_may_be_prepared(scans, tmp_path):
    prepare(scans / "b" / "Thorax é", tmp_path / "out", SMALL)
    assert set(table(tmp_path / "out")) == {"Thorax e.npy"}


def test_bytes_are_off_by_at_most_one_510th():
    values = np.random.default_rng(0).random((1, 20, 20, 20), dtype=np.float32)
    stored = quantised(values, "uint8")
    assert stored.dtype == np.uint8
    assert np.abs(stored.astype(np.float32) / 255 - values).max() <= 1 / 510 + 1e-7


def test_half_precision_is_off_by_at_most_one_4096th():
    values = np.random.default_rng(0).random((1, 20, 20, 20), dtype=np.float32)
    stored = quantised(values, "float16")
    assert stored.dtype == np.float16
    assert np.abs(stored.astype(np.float32) - values).max() <= 1 / 4096


def test_floats_are_stored_as_they_are_read(scans, tmp_path):
    prepare(scans / "a", tmp_path / "out", Settings(shape=(4, 5, 6), format="float32"))
    image = read_image(scans / "a" / "ct.nii.gz", None, (4, 5, 6))
    assert np.array_equal(np.load(tmp_path / "out" / "ct.npy"), image)


def test_several_processes_write_the_same_tree(scans, tmp_path):
    prepare(scans / "a", tmp_path / "one", SMALL)
    prepare(scans / "a", tmp_path / "two", SMALL, workers=2)
    one, two = ((tmp_path / name / "prepared.tsv").read_text() for name in ("one", "two"))
    assert one == two


def test_progress_ends_at_the_number_of_images(scans, tmp_path):
    seen = []
    prepare(scans, tmp_path / "out", SMALL, progress=lambda *step: seen.append(step))
    assert seen == [(n, 6) for n in range(1, 7)]


# ---- again -----------------------------------------------------------------------------------


def test_what_is_there_is_not_prepared_again(scans, tmp_path, monkeypatch):
    prepare(scans, tmp_path / "out", SMALL)
    before = (tmp_path / "out" / "prepared.tsv").read_text()
    monkeypatch.setattr(module, "prepare_image", None)
    outcome = prepare(scans, tmp_path / "out", SMALL)
    assert (outcome.prepared, outcome.skipped) == (0, 6)
    assert (tmp_path / "out" / "prepared.tsv").read_text() == before


def test_a_run_that_was_cut_goes_on_to_the_same_table(scans, tmp_path):
    prepare(scans, tmp_path / "out", SMALL)
    path = tmp_path / "out" / "prepared.tsv"
    before = path.read_text()
    path.write_text(before[: len(before) // 2])
    (tmp_path / "out" / "a" / "ct.npy").unlink()
    prepare(scans, tmp_path / "out", SMALL)
    assert path.read_text() == before


@pytest.mark.parametrize("damage", [b"\xff\n", b"a\t" + b"b" * 5000 + b"\t" * 6 + b"\n"])
def test_a_damaged_table_is_named(scans, tmp_path, damage):
    prepare(scans, tmp_path / "out", SMALL)
    with (tmp_path / "out" / "prepared.tsv").open("ab") as stream:
        stream.write(damage)
    assert "prepared.tsv: cannot be read" in refusal(scans, tmp_path / "out", SMALL)


def test_other_settings_are_refused_with_the_difference(scans, tmp_path):
    prepare(scans, tmp_path / "out", SMALL)
    message = refusal(scans, tmp_path / "out", Settings(shape=(4, 5, 6), window=(40.0, 400.0)))
    assert "window: None -> [40.0, 400.0]" in message


def test_another_depth_is_refused_also_where_the_folder_says_none(scans, tmp_path):
    prepare(scans, tmp_path / "out", SMALL)
    path = tmp_path / "out" / "prepare.json"
    path.write_text(path.read_text().replace(',\n "depth": "shape"', ""))
    assert prepare(scans, tmp_path / "out", SMALL).skipped == len(OUTPUTS)
    native = Settings(shape=SMALL.shape, depth="native")
    assert "depth: shape -> native" in refusal(scans, tmp_path / "out", native)


def test_another_source_is_refused(scans, tmp_path):
    prepare(scans / "a", tmp_path / "out", SMALL)
    assert "source" in refusal(scans / "b", tmp_path / "out", SMALL)


def test_a_folder_with_other_files_is_left_alone(scans, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    assert "holds files" in refusal(scans, tmp_path / "out", SMALL)


# ---- what cannot be prepared -----------------------------------------------------------------


def test_the_first_bad_image_stops_the_run(scans, tmp_path):
    (scans / "a" / "bad.nii").write_bytes(b"no image")
    assert "bad.nii" in refusal(scans, tmp_path / "out", SMALL)


def test_bad_images_are_listed_and_the_rest_is_prepared(scans, tmp_path):
    (scans / "a" / "bad.nii").write_bytes(b"no image")
    (scans / "a" / "header.nhdr").write_text("NRRD0004")
    outcome = prepare(scans, tmp_path / "out", SMALL, on_error="list")
    assert (outcome.prepared, len(outcome.refused)) == (6, 2)
    listed = (tmp_path / "out" / "not_prepared.tsv").read_text()
    assert "bad.nii\t" in listed and "header.nhdr\t" in listed


def test_images_of_an_unknown_format_are_not_left_out_unsaid(scans, tmp_path):
    (scans / "a" / "other.mha").write_text("ObjectType = Image")
    assert "other.mha" in refusal(scans, tmp_path / "out", SMALL)


def test_two_images_of_one_name_are_refused(scans, tmp_path):
    write_nrrd(scans / "a" / "ct.nrrd")
    assert "ct.npy" in refusal(scans, tmp_path / "out", SMALL)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "scans").mkdir()
    assert "no image" in refusal(tmp_path / "scans", tmp_path / "out", SMALL)


def test_a_missing_source_is_refused(tmp_path):
    assert "no such" in refusal(tmp_path / "scans", tmp_path / "out", SMALL)


@pytest.mark.parametrize("place", ["", "out"])
def test_nothing_is_written_into_the_source(scans, place):
    assert "beside" in refusal(scans, scans / place, SMALL)


def test_links_out_of_the_source_are_not_followed(scans, tmp_path):
    (tmp_path / "secret").mkdir()
    np.save(tmp_path / "secret" / "scan.npy", patient())
    (scans / "link.npy").symlink_to(tmp_path / "secret" / "scan.npy")
    (scans / "folder").symlink_to(tmp_path / "secret")
    (scans / "000001" / "Axial_lung_window" / "9.jpg").symlink_to(tmp_path / "secret")
    outcome = prepare(scans, tmp_path / "out", SMALL, on_error="list")
    assert (outcome.prepared, len(outcome.refused)) == (6, 3)


def test_links_out_of_the_target_are_not_written_through(scans, tmp_path):
    prepare(scans / "a", tmp_path / "out", SMALL)
    (tmp_path / "out" / "ct.npy").unlink()
    (tmp_path / "out" / "ct.npy").symlink_to(tmp_path / "elsewhere.npy")
    assert "link" in refusal(scans / "a", tmp_path / "out", SMALL)


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Axial_C+", "Axial_C+"),
        ("Thörax", "Thorax"),
        ("胸", "u80f8"),
        ("．．", "_"),
        ("..", "_"),
        ("a／b", "a_b"),
        ("a\tb:c", "a_b_c"),
        ("", "_"),
    ],
)
def test_names_are_folded_to_one_plain_part(name, folded):
    assert ascii_name(name) == folded
