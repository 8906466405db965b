"""Tiny models of the released systems, and their weights as the releases write them."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny_models import VOCABULARY, language, make, vision3d

from tomovox.models.base import VolumeLM
from tomovox.models.language import LoraSettings
from tomovox.models.med2e3 import QuestionEncoderConfig
from tomovox.models.released_names import Layout
from tomovox.models.segmentation import SegVolConfig
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.weights import untied_state

State = dict[str, torch.Tensor]
LORA = LoraSettings(rank=4, alpha=8, dropout=0.0, targets=["q_proj", "v_proj"])


def lamed(seed: int = 0, masks: bool = True, lora: bool = False, **changes) -> VolumeLM:
    """Return M3D-LaMed with an untied language model, as released, all weights of `seed`."""
    body = language(train="lora" if lora else "full", lora=LORA)
    body.architecture["tie_word_embeddings"] = False
    head = SegVolConfig(vision3d=vision3d(), heads=2) if masks else None
    model = make("m3d_lamed", seed, language=body, mask_head=head, **changes)
    for key, value in model.state_dict().items():
        if "lora_B" in key:  # peft starts these at zero, where an adapter has no effect
            value.normal_(std=0.1)
    return model


def encoders(folder: Path) -> dict[str, object]:
    """Write a tiny SigLIP and a tiny BERT; return the configs of Med-2E3 that name them."""
    from transformers import BertConfig, BertModel, SiglipVisionConfig, SiglipVisionModel

    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    siglip = SiglipVisionConfig(
        **sizes, num_attention_heads=2, image_size=16, patch_size=4, vision_use_head=False
    )
    SiglipVisionModel(siglip).save_pretrained(folder / "siglip")
    bert = BertConfig(**sizes, num_attention_heads=2, vocab_size=VOCABULARY.size)
    BertModel(bert).save_pretrained(folder / "bert")
    return {
        "vision2d": SliceEncoderConfig(kind="siglip", name=str(folder / "siglip"), image=16),
        "question": QuestionEncoderConfig("pooler", str(folder / "bert")),
        "vision3d": vision3d(tap="last_block"),
    }


def published(model: VolumeLM, layout: Layout) -> State:
    """Return the weights of a model under released names."""
    state = {layout.released(k): v.clone() for k, v in untied_state(model).items()}
    assert None not in state
    return state


def write_parts(state: State, folder: Path) -> Path:
    """Write Med-2E3's weights as its folder of parts."""
    parts: dict[str, State] = {}
    for key, value in state.items():
        part, _, rest = key.partition(".")
        parts.setdefault(part, {})[rest] = value
    for part, tensors in parts.items():
        (folder / part).mkdir(parents=True)
        torch.save(tensors, folder / part / "pytorch_model.bin")
    return folder


def write_shards(state: State, folder: Path, kind: str) -> Path:
    """Write a state in two shards with an index, as transformers does."""
    folder.mkdir()
    keys = sorted(state)
    placed = {}
    for number, some in enumerate((keys[::2], keys[1::2]), 1):
        name = f"model-{number:05d}-of-00002.{kind}"
        save = save_file if kind == "safetensors" else torch.save
        save({key: state[key] for key in some}, folder / name)
        placed |= dict.fromkeys(some, name)
    stem = "model.safetensors" if kind == "safetensors" else "pytorch_model.bin"
    index = json.dumps({"metadata": {}, "weight_map": placed})
    (folder / f"{stem}.index.json").write_text(index, "utf-8")
    return folder
