"""Are the models the published ones on every case, and does the command say so when not?

TOMOVOX_PARITY adds folders of cases to the committed ones, separated as PATH is.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tomovox.cli import main
from tomovox.models.splice import Spliced
from tomovox.parity.cases import CASE, EXPECTED, Case, find_cases
from tomovox.parity.comparison import Pair, compare, load_recipe
from tomovox.parity.med2e3 import seen_first
from tomovox.parity.recipe import tensor_for, token_ids_for, volume_for
from tomovox.parity.verdicts import KINDS, judge

HERE = Path(__file__).parent / "parity"
FOLDERS = [HERE, *map(Path, filter(None, os.environ.get("TOMOVOX_PARITY", "").split(os.pathsep)))]
CASES = find_cases(FOLDERS)
NEEDS = {"text_metrics": [pytest.mark.needs_wordnet]}


def parameters() -> list:
    kinds = [(case, case.facts["kind"]) for case in CASES]
    return [
        pytest.param(case, id=case.place, marks=NEEDS.get(kind, []))
        for case, kind in kinds
        if kind in KINDS
    ]


@pytest.mark.parametrize("case", parameters())
def test_every_output_is_the_published_one(case: Case):
    assert [outcome for outcome in judge(case).outcomes if not outcome.passed] == []


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_supported_kind_has_a_committed_case(kind):
    assert kind in {case.facts["kind"] for case in find_cases([HERE])}


@pytest.mark.parametrize("name", ["m3d_vit_small", "m3d_clip_tiny"])
def test_a_case_that_lists_all_keys_lists_exactly_ours(name, monkeypatch):
    def load_strictly(model, case, partial, **given):
        load_recipe(model, case, **given)

    monkeypatch.setattr("tomovox.parity.m3d.load_recipe", load_strictly)
    (case,) = find_cases([HERE / name])
    assert judge(case).passed


# ---- the command -----------------------------------------------------------------------------


@pytest.fixture
def projector(tmp_path: Path) -> Path:
    """A folder with a copy of the smallest case, two levels down."""
    name = "m3d_projector_sequence_linear"
    shutil.copytree(HERE / name, tmp_path / "deep" / name)
    return tmp_path


def edit(root: Path, **changes) -> None:
    file = next(root.rglob(CASE))
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes), "utf-8")


def test_a_case_at_any_depth_passes_and_the_counts_close(projector, capsys):
    assert main(["parity", str(projector)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 0 failed"


def test_a_wrong_recorded_value_fails_and_is_named(projector, capsys):
    file = next(projector.rglob(EXPECTED))
    recorded = load_file(file)
    recorded["output"][0, 0, 0] += 0.5
    save_file(recorded, file)
    assert main(["parity", str(projector)]) == 1
    *_, failed, counts = capsys.readouterr().out.splitlines()
    place = "deep/m3d_projector_sequence_linear"
    assert failed == f"failed: {place}: output: error 5.00e-01, tolerance 1e-05"
    assert counts == "0 passed, 1 failed"


def test_keys_that_our_model_does_not_have_fail_and_are_named(projector, capsys):
    edit(projector, state_dict={"projector.0.weight": [32, 23], "projector.9.bias": [32]})
    assert main(["parity", str(projector)]) == 1
    line = capsys.readouterr().out.splitlines()[-2]
    for told in ("missing: projector.0.bias", "unexpected: projector.9.bias", "(32, 23)"):
        assert told in line


def test_a_kind_that_is_not_supported_is_named_and_not_counted(projector, capsys):
    edit(projector, kind="hologram")
    assert main(["parity", str(projector), str(HERE / "m3d_vit_small")]) == 0
    *_, waiting, counts = capsys.readouterr().out.splitlines()
    assert waiting == "not supported yet: hologram (deep/m3d_projector_sequence_linear)"
    assert counts == "1 passed, 0 failed"


def test_a_case_under_two_folders_counts_once(projector, capsys):
    assert main(["parity", str(projector), str(projector / "deep")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 0 failed"


def refused(folder: Path, capsys) -> str:
    """Return the one line with which the command refuses a folder."""
    assert main(["parity", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_folder_without_a_case_is_refused(tmp_path, capsys):
    assert f"{tmp_path}: no case.json" in refused(tmp_path, capsys)


def test_a_case_that_is_no_json_is_refused(projector, capsys):
    next(projector.rglob(CASE)).write_text("{", "utf-8")
    assert "no readable JSON" in refused(projector, capsys)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": 3}, "kind is not of type str"),
        ({"config": []}, "config.image_size is not of type list"),
        ({"state_dict": {"projector.0.bias": "32"}}, "state_dict does not map keys to shapes"),
    ],
)
def test_a_broken_case_is_refused_with_what_is_wrong(projector, capsys, changes, told):
    edit(projector, **changes)
    assert told in refused(projector, capsys)


def test_sizes_that_do_not_fit_are_refused_with_the_file(tmp_path, capsys):
    shutil.copytree(HERE / "m3d_vit_small", tmp_path / "vit")
    config = json.loads((tmp_path / "vit" / CASE).read_text("utf-8"))["config"]
    edit(tmp_path, config=config | {"num_heads": 5})
    line = refused(tmp_path, capsys)
    assert f"{tmp_path / 'vit' / CASE}: vision3d: width 48 is not a multiple of 5 heads" in line


def test_a_case_without_its_tensors_is_refused(projector, capsys):
    next(projector.rglob(EXPECTED)).unlink()
    assert "no readable safetensors file" in refused(projector, capsys)


def test_a_released_weight_that_the_case_lacks_fails_and_is_named(tmp_path, capsys):
    shutil.copytree(HERE / "med2e3_tiny", tmp_path / "med2e3")
    keys = json.loads((tmp_path / "med2e3" / CASE).read_text("utf-8"))["state_dict"]
    del keys["vision3d_connector.text_mlp.bias"]
    edit(tmp_path, state_dict=keys)
    assert main(["parity", str(tmp_path)]) == 1
    assert "missing: vision3d_connector.text_mlp.bias" in capsys.readouterr().out.splitlines()[-2]


def test_unseen_tokens_leave_their_row_with_their_labels():
    mask = torch.tensor([[False, True, False, True], [True, True, True, False]])
    rows = seen_first(Spliced(torch.ones(2, 4, 1), mask, torch.tensor([[5, 6, 7, 8]] * 2)))
    assert rows.labels.tolist() == [[6, 8, -100], [5, 6, 7]]
    assert rows.embeds[..., 0].tolist() == [[1, 1, 0], [1, 1, 1]]


# ---- comparing and the recipe ----------------------------------------------------------------


def test_a_value_that_is_not_a_number_never_passes():
    ours = torch.tensor([0.0, float("nan")])
    assert not compare(Pair("output", ours, torch.zeros(2)), 1e9).passed


def test_another_shape_never_passes():
    outcome = compare(Pair("output", torch.zeros(1, 2), torch.zeros(2)), 1e9)
    assert not outcome.passed and outcome.note == "shape (1, 2), recorded (2,)"


@pytest.mark.parametrize(
    ("name", "shape", "values"),
    [
        ("norm.weight", (3,), [1.0198501, 0.9854934, 0.9465435]),
        ("norm.bias", (3,), [-0.0374851, -0.0476189, -0.0343493]),
        ("projector.0.weight", (2, 4), [-0.1549354, 0.0406601, -0.8366642, 1.1055697]),
        ("cls_token", (1, 1, 4), [0.0581399, 0.6143975, -0.2517017, 0.1177283]),
        ("logit_scale", (), [-0.0420603]),
    ],
)
def test_a_weight_of_the_recipe_depends_on_its_name_and_shape_alone(name, shape, values):
    torch.testing.assert_close(tensor_for(name, shape).flatten()[:4], torch.tensor(values))


def test_a_volume_of_the_recipe_depends_on_its_case_alone():
    values = torch.tensor([0.2573360, 0.8389422, 0.6813748, 0.6858736])
    torch.testing.assert_close(volume_for("m3d_vit_small", (1, 1, 2, 2)).flatten(), values)


def test_token_ids_of_the_recipe_depend_on_their_case_alone():
    ids = token_ids_for("m3d_clip_tiny", (2, 3), 200).tolist()
    assert ids == [[135, 89, 105], [167, 151, 192]]
