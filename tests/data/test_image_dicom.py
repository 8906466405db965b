import pytest
from pydicom.encaps import encapsulate
from scans import read_header, refusal, write_dicom

# ---- DICOM -----------------------------------------------------------------------------------


def test_a_single_dicom_slice_is_no_volume(tmp_path):
    folder = write_dicom(tmp_path / "scan")
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    assert "single slice" in refusal(folder)


def test_two_series_in_one_folder_are_named(tmp_path):
    write_dicom(tmp_path / "scan", uid="1.2.3", name="Arterial")
    write_dicom(tmp_path / "scan", uid="1.2.4", name="Venous")
    message = refusal(tmp_path / "scan")
    assert "1_Arterial" in message and "1_Venous" in message


def test_a_missing_slice_is_noticed(tmp_path):
    folder = write_dicom(tmp_path / "scan")
    sorted(folder.iterdir())[3].unlink()
    assert "missing" in refusal(folder)


def test_two_slices_at_one_position_are_refused(tmp_path):
    folder = write_dicom(tmp_path / "scan")
    (folder / "copy.dcm").write_bytes(sorted(folder.iterdir())[0].read_bytes())
    assert "one position" in refusal(folder)


def test_a_truncated_dicom_slice_is_refused(tmp_path):
    folder = write_dicom(tmp_path / "scan")
    path = sorted(folder.iterdir())[2]
    path.write_bytes(path.read_bytes()[:-20])
    assert path.name in refusal(folder)


def test_another_file_named_dcm_is_refused(tmp_path):
    folder = write_dicom(tmp_path / "scan")
    (folder / "notes.dcm").write_text("not DICOM")
    assert "notes.dcm" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME1"),
        ({"NumberOfFrames": 3}, "frames"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient"),
        ({"Rows": 20000, "Columns": 20000}, "cut off"),
    ],
)
def test_what_is_no_stack_of_grey_slices_is_refused(tmp_path, change, word):
    assert word in refusal(write_dicom(tmp_path / "scan", **change))


def test_compression_that_cannot_be_unpacked_here_is_said(tmp_path):
    folder = write_dicom(tmp_path / "scan")
    for path in folder.iterdir():
        data = read_header(path)
        data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"  # JPEG 2000
        data.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(40)])
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
        data.save_as(path)
    assert "dcm2niix" in refusal(folder)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "scan").mkdir()
    assert "neither" in refusal(tmp_path / "scan")


@pytest.mark.parametrize("change", [{"Rows": [7, 7]}, {"PixelSpacing": ["1"]}])
def test_an_element_of_another_form_is_refused(tmp_path, change):
    refusal(write_dicom(tmp_path / "scan", **change))


def test_a_file_that_would_unpack_as_a_whole_is_refused(tmp_path):
    folder = write_dicom(tmp_path / "scan")
    for path in folder.iterdir():
        data = read_header(path)
        data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
        data.save_as(path)
    assert "deflated" in refusal(folder)


def test_an_element_that_claims_gigabytes_is_refused(tmp_path):
    folder = write_dicom(tmp_path / "scan")
    path = min(folder.iterdir())
    element = b"\x08\x00\x00\x01UN\x00\x00" + (2**32 - 16).to_bytes(4, "little")
    path.write_bytes(path.read_bytes()[:132] + element)
    refusal(folder)
