"""Are predictions the same file where memory is short, and where training was not in float32?"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from lightning import seed_everything
from short_memory import limited
from test_cli import LANGUAGE, SIZE, VISION, complaint, run_of
from test_experiment import tiny
from transformers import LlamaConfig, LlamaForCausalLM

from tomovox.answering import BY_DEFAULT, Answering
from tomovox.cell import keep_config
from tomovox.cli import main
from tomovox.configuration import instantiate
from tomovox.data.datamodule import M3DDataModule
from tomovox.data.phantom import write_phantom
from tomovox.data.prompts import Template
from tomovox.experiment import ExperimentRun
from tomovox.models.checkpoint import save_trained
from tomovox.models.language import LanguageConfig
from tomovox.models.m3d_lamed import M3DLaMed
from tomovox.models.med2e3 import Med2E3
from tomovox.models.ms_vlm import MSVLM
from tomovox.models.segmentation import SegVolConfig
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.vit3d import ViT3DConfig
from tomovox.models.zformer import ZFormerConfig
from tomovox.predict import answer_all
from tomovox.schema import PREDICTIONS, TomovoxError, read_predictions

VIT = ViT3DConfig(**{**VISION, "image": SIZE, "patch": (4, 8, 8)})
SLICES = SliceEncoderConfig(kind="conv", image=SIZE[1], patch=16, width=16)
SYSTEMS = {
    "med2e3": lambda **k: Med2E3(VIT, SLICES, **k),
    "m3d_lamed": lambda **k: M3DLaMed(VIT, **k),
    "ms_vlm": lambda **k: MSVLM(SLICES, ZFormerConfig(32, 1, 2), 4, 1, **k),
}
QUIET = {"accelerator": "cpu", "enable_progress_bar": False}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "data"
    options = {"test_cases": 2, "series": 1, "organ_masks": True}
    write_phantom(folder, cases=5, seed=0, shape=SIZE, difficulty="easy", **options)
    return folder


def answered(folder: Path, root: Path, name: str, answering: Answering = BY_DEFAULT) -> bytes:
    """Return the predictions of a system that draws, and scores choices."""
    tasks = ["vqa_closed", "seg_semantic"]
    data = M3DDataModule(str(root), Template(), tasks=tasks, choice_likelihood=True)
    data.setup()
    seed_everything(0, verbose=False)
    model = SYSTEMS[name](
        language=LanguageConfig(architecture=LANGUAGE["architecture"]),
        vocabulary=data.vocabulary(),
        mask_head=SegVolConfig(vision3d=VIT, heads=2, mlp=16),
        max_new_tokens=3,
    )
    model.configure_model()
    # What an untrained model says most is taken for [SEG], so that masks are drawn.
    first = model.eval().predict_step(next(iter(data.predict_dataloader()))).ids[:, 0]
    model.language.vocabulary = replace(data.vocabulary(), seg=int(first.mode().values))
    answer_all(folder, model, data, QUIET, name, answering=answering)
    return (folder / PREDICTIONS).read_bytes()


@pytest.fixture(scope="module", params=sorted(SYSTEMS))
def whole(request, tmp_path_factory, root) -> tuple[str, bytes]:
    """A system and what it says with all questions of a study at once."""
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, answered(folder, root, request.param)


# ---- memory ------------------------------------------------------------------------------------


def test_the_file_has_what_could_differ(whole, tmp_path):
    (tmp_path / PREDICTIONS).write_bytes(whole[1])
    said = list(read_predictions(tmp_path / PREDICTIONS))
    assert any(p.choice_logprobs for p in said)
    assert any(p.mask and p.soft[0] > 0 for p in said)
    assert all(bool(p.slice_scores) == (whole[0] != "m3d_lamed") for p in said)


def test_a_device_with_little_memory_leaves_the_same_file(
    whole, tmp_path, root, monkeypatch, capsys
):
    tries = limited(monkeypatch, 10**9)
    answered(tmp_path / "counted", root, whole[0])
    limited(monkeypatch, max(tries) // 2)
    assert answered(tmp_path / "few", root, whole[0]) == whole[1]
    said = capsys.readouterr().out
    assert said.count("no memory for all") == 1


def test_a_number_at_a_time_leaves_the_same_file(whole, tmp_path, root, monkeypatch):
    tries = limited(monkeypatch, 10**9)
    assert answered(tmp_path, root, whole[0], Answering(3)) == whole[1]
    assert max(tries[1:]) == 3


# ---- precision ---------------------------------------------------------------------------------


def scoring_run(folder: Path, root: Path, precision: str) -> Path:
    """Write an untrained RUN whose config trains in a precision and scores choices."""
    seed_everything(0, verbose=False)
    folder.mkdir(exist_ok=True)
    run = run_of(folder / precision, root, "M3DLaMed")
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    config["trainer"]["precision"] = precision
    config["data"]["choice_likelihood"] = True
    (run / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return run


def predicted(run: Path, *arguments: str) -> bytes:
    assert main(["predict", str(run), *arguments]) == 0
    return (run / PREDICTIONS).read_bytes()


def test_a_run_trained_in_half_precision_is_answered_in_float32(tmp_path, root):
    half, full = (scoring_run(tmp_path, root, p) for p in ("bf16-mixed", "32-true"))
    assert predicted(half) == predicted(full)


def test_a_language_model_kept_in_half_precision_is_answered_in_float32(tmp_path, root):
    sizes = {**LANGUAGE["architecture"], "vocab_size": 2000}
    seed_everything(0, verbose=False)
    LlamaForCausalLM(LlamaConfig(**sizes)).save_pretrained(tmp_path / "llama")
    said, kept = {}, {}
    for dtype in ("bfloat16", "float32"):
        run = scoring_run(tmp_path / dtype, root, "32-true")
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        named = {"name": str(tmp_path / "llama"), "dtype": dtype}
        config["model"]["init_args"] |= {"language": named, "stage": "instruct"}
        (run / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        del config["fit"]
        model = instantiate(config, "run").model
        model.configure_model()
        kept = kept or {k: v.float() for k, v in model.state_dict().items()}
        model.load_state_dict(kept)
        assert model.language.dtype == getattr(torch, dtype)
        save_trained(model, run / "model.safetensors")
        said[dtype] = predicted(run)
    assert said["bfloat16"] == said["float32"] and b"choice_logprobs" in said["float32"]


def test_what_is_asked_for_is_kept_in_the_run_and_not_mixed(tmp_path, root, capsys):
    run = scoring_run(tmp_path, root, "32-true")
    full = predicted(run)
    line = complaint(capsys, "predict", str(run), "--precision", "bf16-mixed")
    assert "holds answers of precision 32-true and batch auto" in line
    (run / PREDICTIONS).unlink()
    half = predicted(run, "--precision", "bf16-mixed", "--batch", "2")
    assert half != full
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert config["predict"] == {"batch": 2, "precision": "bf16-mixed"}
    (run / PREDICTIONS).unlink()
    assert predicted(run) == half


@pytest.mark.parametrize("flag", [("--batch", "0"), ("--batch", "many"), ("--precision", "8")])
def test_a_wrong_flag_is_one_line(tmp_path, root, capsys, flag):
    run = scoring_run(tmp_path, root, "32-true")
    line = complaint(capsys, "predict", str(run), *flag)
    assert f"predict.{flag[0].removeprefix('--')} is {flag[1]}; give" in line


# ---- experiments -------------------------------------------------------------------------------


def test_rows_answered_in_another_way_are_refused(tmp_path):
    cells = ExperimentRun(tiny(tmp_path, predict={"batch": 2}), tmp_path / "a").cells()[0]
    assert {cell.answering for cell in cells} == {Answering(2)}
    keep_config(cells[0])
    config = yaml.safe_load((cells[0].folder / "config.yaml").read_text(encoding="utf-8"))
    assert config["predict"] == {"batch": 2, "precision": "32-true"}
    with pytest.raises(TomovoxError, match=r"made with another config .*predict"):
        keep_config(replace(cells[0], answering=BY_DEFAULT))


def test_a_row_answered_as_usual_says_nothing_of_it(tmp_path):
    cell = ExperimentRun(tiny(tmp_path), tmp_path / "a").cells()[0][0]
    keep_config(cell)
    assert "predict" not in yaml.safe_load((cell.folder / "config.yaml").read_text("utf-8"))
