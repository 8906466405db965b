"""Writes one small asymmetric patient as NIfTI, NRRD, DICOM or pictures, in any orientation.

The patient is an array (x y z) in RAS: x runs to the right, y to the front, z to the head.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pydicom
import pytest
from nibabel import orientations
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tomovox.data.images import read_image
from tomovox.schema import TomovoxError

SPACING = (1.0, 2.0, 3.0)
"""Millimetres along x, y and z."""


def patient() -> np.ndarray:
    """Return (6 7 8) int16 HU in RAS: no two axes, ends or voxels are alike."""
    return np.random.default_rng(5).permutation(6 * 7 * 8).reshape(6, 7, 8).astype(np.int16) - 100


def truth() -> np.ndarray:
    """Return the patient axially: D head to feet, H front to back, W right to left, in [0, 1]."""
    voxels = patient().transpose(2, 1, 0)[::-1, ::-1, ::-1].astype(np.float32)
    return (voxels - voxels.min()) / np.float32(335)


def refusal(path: Path, window=None, plane: str = "axial") -> str:
    """Read an image; return the one line that refuses it, which names the file."""
    with pytest.raises(TomovoxError) as caught:
        read_image(path, window, None, plane)
    message = str(caught.value)
    assert "\n" not in message and path.name.split(".")[0] in message and "; " in message
    return message


def stored_as(code: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the patient with axes that run towards `code`, such as LPS, and the affine."""
    turn = orientations.ornt_transform(
        orientations.axcodes2ornt(("R", "A", "S")), orientations.axcodes2ornt(tuple(code))
    )
    affine = np.diag([*SPACING, 1.0]) @ orientations.inv_ornt_aff(turn, patient().shape)
    return np.ascontiguousarray(orientations.apply_orientation(patient(), turn)), affine


def write_nifti(path: Path, code: str = "RAS", voxels: np.ndarray | None = None) -> Path:
    stored, affine = stored_as(code)
    nib.save(nib.Nifti1Image(stored if voxels is None else voxels, affine), path)
    return path


def write_nrrd(
    path: Path, code: str = "LPS", space: str = "left-posterior-superior", **more
) -> Path:
    stored, affine = stored_as(code)
    factors = {"left-posterior-superior": (-1, -1, 1), "left-anterior-superior": (-1, 1, 1)}
    world = np.diag(factors.get(space, (1, 1, 1))) @ affine[:3, :3]
    header = {"space": space, "space directions": world.T, "space origin": np.zeros(3)} | more
    nrrd.write(str(path), stored, header)
    return path


def write_dicom(
    folder: Path,
    code: str = "LPS",
    uid: str = "1.2.3",
    number: int = 1,
    name: str = "Chest",
    **more,
) -> Path:
    """Write a series whose columns, rows and slices run towards `code`, one file a slice."""
    folder.mkdir(parents=True, exist_ok=True)
    stored, affine = stored_as(code)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    sizes = np.linalg.norm(lps[:3, :3], axis=0)
    cosines = lps[:3, :3] / sizes
    slices = stored.shape[2]
    for k in range(slices):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = (
            CTImageStorage,
            ExplicitVRLittleEndian,
        )
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[uid, str(k)])
        data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.SeriesInstanceUID, data.SeriesNumber, data.SeriesDescription = uid, number, name
        data.Modality, data.PhotometricInterpretation, data.SamplesPerPixel = "CT", "MONOCHROME2", 1
        data.Columns, data.Rows = stored.shape[0], stored.shape[1]
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 0
        data.PixelSpacing = [float(sizes[1]), float(sizes[0])]
        data.ImageOrientationPatient = [*cosines[:, 0].tolist(), *cosines[:, 1].tolist()]
        data.ImagePositionPatient = (lps @ [0, 0, k, 1])[:3].tolist()
        data.RescaleSlope, data.RescaleIntercept = 0.5, -1024
        raw = (stored[:, :, k].T.astype(np.float64) + 1024) * 2
        data.PixelData = raw.astype(np.uint16).tobytes()
        for key, value in more.items():
            setattr(data, key, value)
        # Names run against the order of the slices.
        data.save_as(folder / f"{uid}-{slices - k:02d}.dcm", enforce_file_format=True)
    return folder


def write_slices(folder: Path, volume: np.ndarray, first: int = 8, suffix: str = ".png") -> Path:
    """Write (D H W) uint8 as pictures `first`, `first` + 1, ...: 8, 9, 10 sort badly as text."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, grey in enumerate(volume, first):
        Image.fromarray(grey).save(folder / f"{number}{suffix}")
    return folder


def read_header(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(path)
