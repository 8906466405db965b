"""Are pairs embedded in float32, whatever the dual encoder was trained in?"""

from pathlib import Path

import pytest
import torch
from lightning import seed_everything

from tomovox.data.phantom import write_phantom
from tomovox.data.report_pairs import ReportPairs
from tomovox.models.clip_training import ClipTraining
from tomovox.models.m3d_clip import M3DCLIP, TextEncoderConfig
from tomovox.models.vit3d import ViT3DConfig
from tomovox.retrieval_cell import embed_pairs
from tomovox.schema import PREDICTIONS, Vocabulary

SIZES = {"width": 32, "layers": 1, "heads": 2, "mlp": 32}
WORDS = 500


@pytest.fixture
def pairs(tmp_path) -> ReportPairs:
    root = tmp_path / "data"
    write_phantom(root, cases=4, seed=0, shape=(8, 16, 16), difficulty="easy", test_cases=2)
    return ReportPairs(str(root), batch_size=2, max_length=16)


def embedded(folder: Path, model: ClipTraining, pairs: ReportPairs) -> bytes:
    embed_pairs(folder, "clip", model, pairs)
    return (folder / PREDICTIONS).read_bytes()


def encoder() -> M3DCLIP:
    text = TextEncoderConfig(vocabulary=WORDS, positions=16, **SIZES)
    return M3DCLIP(ViT3DConfig(image=(8, 16, 16), patch=(4, 8, 8), **SIZES), text)


def configured() -> ClipTraining:
    seed_everything(0, verbose=False)
    model = ClipTraining(encoder, Vocabulary(WORDS, placeholder=3, pad=0, eos=1))
    model.configure_model()
    return model


def test_no_convolution_is_cut_to_tf32(tmp_path, pairs, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    model, seen = configured(), []
    embed = model.clip.embed_studies
    model.clip.embed_studies = lambda studies: (
        seen.append(torch.backends.cudnn.allow_tf32) or embed(studies)
    )
    embedded(tmp_path / "run", model, pairs)
    assert seen and not any(seen)


def test_weights_in_half_precision_are_multiplied_in_float32(tmp_path, pairs):
    rounded = configured().bfloat16()
    half = embedded(tmp_path / "half", rounded, pairs)
    exact = configured()
    exact.load_state_dict({k: v.float() for k, v in configured().bfloat16().state_dict().items()})
    assert half == embedded(tmp_path / "full", exact, pairs)
