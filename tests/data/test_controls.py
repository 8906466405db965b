"""Does a control change the voxels, always in the same way, and nothing else?"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from tomovox.data.controls import (
    CONTROLS,
    OTHER_PATIENT,
    check_controls,
    other_patients,
    slice_order,
    tampered,
)
from tomovox.data.datamodule import M3DDataModule
from tomovox.data.dataset import StudyDataset
from tomovox.data.prompts import Template
from tomovox.data.records import read_records
from tomovox.data.series import SeriesFacts
from tomovox.schema import Record, Task, TomovoxError

OWN_VOXELS = tuple(control for control in CONTROLS if control != OTHER_PATIENT)
ORDERS = ("slices_permuted", "slices_reversed")
PATH = "M3D_Cap_npy/ct_case/000001/a.npy"


@pytest.fixture
def voxels() -> torch.Tensor:
    return torch.rand(1, 6, 4, 5, generator=torch.Generator().manual_seed(0))


# ---- one volume --------------------------------------------------------------------------------


@pytest.mark.parametrize("control", OWN_VOXELS)
def test_a_control_changes_a_volume_in_the_same_way_every_time(voxels, control):
    given = voxels.clone()
    shown = tampered(voxels, control, PATH)
    assert shown.shape == voxels.shape and not torch.equal(shown, voxels)
    assert torch.equal(shown, tampered(voxels, control, PATH))
    assert torch.equal(voxels, given)


@pytest.mark.parametrize("control", OWN_VOXELS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 4, 5), (1, 2, 1, 3)])
def test_any_shape_stays(control, shape):
    assert tampered(torch.rand(shape), control, PATH).shape == shape


def test_without_a_control_the_volume_is_itself(voxels):
    assert tampered(voxels, "none", PATH) is voxels


def test_no_image_is_empty(voxels):
    assert not tampered(voxels, "no_image", PATH).any()


def test_constant_is_the_mean_intensity(voxels):
    (value,) = tampered(voxels, "constant", PATH).unique().tolist()
    assert value == pytest.approx(float(voxels.mean()))


@pytest.mark.parametrize("control", ORDERS)
def test_an_order_of_slices_keeps_every_slice_as_it_is(voxels, control):
    (shown,), (own,) = tampered(voxels, control, PATH), voxels
    assert sorted(own.tolist()) == sorted(shown.tolist())


@pytest.mark.parametrize("control", ["slices_reversed", "left_right"])
def test_what_turns_round_twice_is_the_volume_again(voxels, control):
    twice = tampered(tampered(voxels, control, PATH), control, PATH)
    assert torch.equal(twice, voxels)


def test_left_right_mirrors_the_last_axis(voxels):
    assert torch.equal(tampered(voxels, "left_right", PATH)[..., 0], voxels[..., -1])


def test_another_patient_is_not_made_of_a_volumes_own_voxels(voxels):
    with pytest.raises(TomovoxError, match=r"a\.npy: control 'other_patient'"):
        tampered(voxels, OTHER_PATIENT, PATH)


@pytest.mark.parametrize("depth", range(2, 9))
def test_permuted_slices_never_stand_in_their_own_order(depth):
    for number in range(200):
        order = slice_order(depth, f"{number}.npy")
        assert sorted(order) == list(range(depth)) != order


def test_other_paths_have_other_orders():
    assert len({tuple(slice_order(8, f"{number}.npy")) for number in range(50)}) == 50


def test_the_order_of_a_path_never_changes():
    assert slice_order(8, PATH) == [7, 1, 2, 0, 5, 6, 3, 4]


def test_unknown_controls_are_named_with_those_that_exist():
    with pytest.raises(TomovoxError, match=r"^x: unknown controls blur; known: no_image, .*right$"):
        check_controls(["no_image", "blur"], "x")


# ---- another patient ---------------------------------------------------------------------------


def study(case: str, series: int = 0, volumes: int = 1, folder: str = "Cap") -> list[Record]:
    paths = tuple(f"{folder}/{case}/{series}-{v}.npy" for v in range(volumes))
    return [
        Record(f"{folder}/{case}/{series}/{n}", Task.REPORT, "test", case, paths, "Say.", "It is.")
        for n in range(2)
    ]


def shown_to(studies: list[list[Record]]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Map the volumes of each study to those that it is shown."""
    shown = other_patients(studies)
    return {s[0].volumes: studies[o][0].volumes for s, o in zip(studies, shown, strict=True)}


STUDIES = [study(f"case{c}", s) for c in range(9) for s in range(1 + c % 3)]


def test_no_study_is_shown_one_of_its_own_case():
    for i, other in enumerate(other_patients(STUDIES)):
        assert STUDIES[i][0].case != STUDIES[other][0].case


def test_every_study_is_shown_once():
    assert sorted(other_patients(STUDIES)) == list(range(len(STUDIES)))


def test_the_other_patient_does_not_depend_on_the_order_of_studies_and_records():
    order = np.random.default_rng(0).permutation(len(STUDIES))
    assert shown_to([STUDIES[i][::-1] for i in order]) == shown_to(STUDIES)


def test_a_case_with_most_of_the_studies_is_shown_those_of_the_others():
    studies = [*(study("big", s) for s in range(5)), study("a"), study("b")]
    shown = other_patients(studies)
    assert set(shown[:5]) <= {5, 6} and set(shown[5:]) <= set(range(5))


def test_the_other_patient_has_as_many_series_and_is_of_the_same_data_set():
    kinds = [(1, "Cap"), (2, "Cap"), (1, "Seg")]
    studies = [study(f"case{c}", 0, v, folder) for c in range(3) for v, folder in kinds]
    for own, other in shown_to(studies).items():
        assert len(own) == len(other) and own[0][:3] == other[0][:3]


def test_a_single_case_has_no_other_patient():
    with pytest.raises(TomovoxError, match=r"a: the data set of Cap/a/0-0\.npy has no other case"):
        other_patients([study("a", 0), study("a", 1)])


def test_a_case_with_more_series_than_any_other_is_shown_one_with_fewer():
    studies = [study("big", 0, 7), study("big", 1, 7), study("a", 0, 3), study("b", 0, 3)]
    studies += [study("c", 0, 1), study("d", 0, 1)]
    shown = other_patients(studies)
    assert set(shown[:2]) <= {2, 3} and set(shown[4:]) == {4, 5}


def test_what_is_told_goes_with_the_series_of_the_other_patient(m3d):
    root = m3d.fill(test=3).root
    records = read_records(root, Task.CASE_REPORT, "test")
    m3d.write_volume("M3D_Cap_npy/ct_case/000001/b.npy", seed=9)
    records[0] = replace(
        records[0], volumes=(*records[0].volumes, "M3D_Cap_npy/ct_case/000001/b.npy")
    )
    facts = {v: SeriesFacts(plane=v) for r in records for v in r.volumes}
    data = StudyDataset(root, records, control=OTHER_PATIENT, facts=facts)
    for row, other in enumerate(data.others):
        item = data[row]
        assert [f.plane for f in item.told] == list(records[other].volumes)
        assert len(item.told) == len(item.voxels)


# ---- a data set --------------------------------------------------------------------------------


@pytest.fixture
def root(m3d):
    return m3d.fill(train=2, val=1, test=4).root


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_changes_the_voxels_of_a_study_and_nothing_else(root, control):
    records = read_records(root, Task.VQA_CLOSED, "test")
    plain, other = StudyDataset(root, records), StudyDataset(root, records, control=control)
    for row in range(4):
        assert other[row].records == plain[row].records
        assert other[row].voxels[0].shape == plain[row].voxels[0].shape
        assert not torch.equal(other[row].voxels[0], plain[row].voxels[0])


@pytest.mark.parametrize("control", CONTROLS)
def test_the_true_masks_stay(root, control):
    mask = np.zeros((1, 2, 4, 4), bool)
    mask[0, 1, 2:, :1] = True
    np.save(root / "mask.npy", mask)
    records = [
        Record(
            r.id, Task.SEG_SEMANTIC, "test", r.case, r.volumes, "Where?", "[SEG]", mask="mask.npy"
        )
        for r in read_records(root, Task.REPORT, "test")
    ]
    item = StudyDataset(root, records, control=control)[0]
    assert np.array_equal(item.masks[0].numpy(), mask)


def test_another_patient_is_shown_as_it_is(root):
    records = read_records(root, Task.REPORT, "test")
    plain, other = StudyDataset(root, records), StudyDataset(root, records, control=OTHER_PATIENT)
    for row, shown in enumerate(other_patients(plain.studies)):
        assert torch.equal(other[row].voxels[0], plain[shown].voxels[0])


def tampered_module(root, control: str, **options) -> M3DDataModule:
    data = M3DDataModule(str(root), Template(), **options)
    data.setup()
    data.tamper(control)
    data.setup()
    return data


def test_only_what_is_predicted_is_tampered_with(root):
    data = tampered_module(root, "no_image", batch_size=1)
    (trained, *_), (predicted, *_) = data.train_dataloader(), data.predict_dataloader()
    assert trained.studies.voxels[0].any() and not predicted.studies.voxels[0].any()


def test_a_batch_has_the_voxels_of_its_control_whatever_is_skipped(root):
    data = tampered_module(root, OTHER_PATIENT)
    whole = {b.records[0].case: b.studies.voxels[0] for b in data.predict_dataloader()}
    data.skip(record.id for record in data.predict_studies()[0])
    rest = {b.records[0].case: b.studies.voxels[0] for b in data.predict_dataloader()}
    assert len(whole) == 4 and len(rest) == 3
    assert all(torch.equal(whole[case], voxels) for case, voxels in rest.items())


def test_closed_questions_are_asked_in_their_own_order_only(root):
    data = tampered_module(root, "constant", permutations=3, choice_likelihood=True)
    asked = Counter(r.id for study in data.predict_studies() for r in study)
    assert sum(asked.values()) == 4 * 7 and not any("~" in name for name in asked)
    assert not data.choice_likelihood
