"""Is our Med-2E3 the released one? Its parity cases, from the volume to the spoken tokens.

Letters: b rows, l positions, h language-model width.
"""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from tomovox.models.language import LanguageConfig
from tomovox.models.m3d_clip import TextEncoderConfig
from tomovox.models.med2e3 import Med2E3, QuestionEncoderConfig
from tomovox.models.released import load_state
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.splice import Spliced
from tomovox.models.vit3d import ViT3DConfig
from tomovox.packaged import quiet_loading
from tomovox.parity.cases import Case
from tomovox.parity.comparison import KeysDiffer, Pair
from tomovox.parity.recipe import tensor_for, volume_for
from tomovox.schema import IGNORE, Batch, Questions, Studies, TomovoxError, Vocabulary

LANGUAGE_SIZES = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "hidden_act", "max_position_embeddings", "rms_norm_eps"),
    *("original_max_position_embeddings", "rope_theta", "rope_scaling", "sliding_window"),
    "tie_word_embeddings",
)
"""What of a recorded language-model config shapes its outputs in eval mode."""


def med2e3_pairs(case: Case) -> Iterator[Pair]:
    """Yield question embedding, slice scores, spliced rows, logits, loss and greedy ids.

    Row 0 is continued without a stop at eos. Logits are compared at seen positions only: at padding
    the released code counts positions on, ours do not.
    """
    model = _model(case)
    batch = _batch(case, model.vision3d_config.image)
    vector = model.question(batch.questions, model.language)
    yield Pair("question_pooled", vector, case.expected("question_pooled"))
    read, visual = model.read(batch)
    if visual.slice_scores is None:
        raise case.fault("this configuration scores no slices")
    yield Pair("slice_scores", visual.slice_scores, case.expected("slice_scores"))
    spliced = seen_first(read)
    yield Pair("inputs_embeds", spliced.embeds, case.expected("inputs_embeds"))
    recorded = case.expected("merged_attention_mask")
    yield Pair("merged_attention_mask", spliced.mask, recorded)
    if spliced.labels is not None:
        yield Pair("merged_labels", spliced.labels, case.expected("merged_labels"))
    logits = model.language.logits(spliced) * spliced.mask[..., None]
    yield Pair("logits", logits, case.expected("logits") * recorded[..., None])
    loss, _ = model.language.loss(spliced)
    yield Pair("loss", loss.reshape(-1), case.expected("loss").reshape(-1))
    ids = case.expected("generated_ids")
    first = spliced.mask[:1]
    prompt = Spliced(spliced.embeds[:1][first][None], first[first][None], None)
    yield Pair("generated_ids", model.language.greedy(prompt, ids.shape[-1]), ids)


def seen_first(spliced: Spliced) -> Spliced:
    """Return the rows as the released code builds them: unseen tokens dropped, zeros after the end.

    Labels of what is dropped fall away with it; those of padding are IGNORE.
    """
    length = int(spliced.mask.sum(-1).max())
    order = (~spliced.mask).long().argsort(dim=-1, stable=True)[:, :length]
    mask = spliced.mask.gather(1, order)
    wide = order[..., None].expand(-1, -1, spliced.embeds.shape[-1])
    embeds = spliced.embeds.gather(1, wide) * mask[..., None]
    labels = None if spliced.labels is None else spliced.labels.gather(1, order)
    return Spliced(embeds, mask, None if labels is None else labels.masked_fill(~mask, IGNORE))


def _batch(case: Case, image: tuple[int, int, int]) -> Batch:
    """Return the recorded token ids with the volumes of the recipe, one per row."""
    if case.fact(int, "ignore_index") != IGNORE:
        raise case.fault(f"ignore_index is not {IGNORE}")
    ids = case.expected("input_ids")
    rows = torch.arange(len(ids))
    question, mask = case.expected("question_ids"), case.expected("question_mask").bool()
    return Batch(
        studies=Studies(list(volume_for(case.name, (len(ids), 1, *image))), rows),
        questions=Questions([""] * len(ids), question, mask, rows),
        input_ids=ids,
        attention_mask=case.expected("attention_mask").bool(),
        labels=case.expected("labels"),
        records=[],
    )


def _model(case: Case) -> Med2E3:
    """Return Med-2E3 at the sizes of the case, with the recipe's tensors under released names."""
    size = case.count("config", "llm", "vocab_size")
    with TemporaryDirectory() as folder:
        _save_encoders(case, Path(folder))
        model = Med2E3(
            vision3d=ViT3DConfig(
                image=case.size("config", "img_size"),
                patch=case.size("config", "patch_size"),
                width=case.count("config", "vit", "hidden"),
                layers=case.count("config", "vit", "layers"),
                heads=case.count("config", "vit", "heads"),
                mlp=case.count("config", "vit", "mlp"),
                tap="last_block",
            ),
            vision2d=SliceEncoderConfig(
                kind="siglip",
                name=str(Path(folder, "slices")),
                image=case.count("config", "siglip", "image_size"),
            ),
            question=QuestionEncoderConfig("pooler", str(Path(folder, "question"))),
            language=_language(case),
            # An eos that no row of the vocabulary has: the recorded continuations never stop.
            vocabulary=Vocabulary(
                size=size,
                placeholder=case.fact(int, "image3d_token_id"),
                pad=case.fact(int, "config", "llm", "pad_token_id"),
                eos=size,
            ),
        )
        with quiet_loading():  # transformers remarks on the eos
            model.configure_model()
    try:
        load_state(model, _state(case), "weights")
    except TomovoxError as error:
        raise KeysDiffer(str(error)) from None
    return model.eval()


def _state(case: Case) -> dict[str, Tensor]:
    return {key: tensor_for(key, shape) for key, shape in case.shapes.items()}


def _language(case: Case) -> LanguageConfig:
    recorded = case.fact(dict, "config", "llm")
    return LanguageConfig(
        model_type=case.fact(str, "config", "llm", "model_type"),
        # transformers writes into the rope settings it is given.
        architecture={k: deepcopy(recorded[k]) for k in LANGUAGE_SIZES if k in recorded},
        train="frozen",
    )


def _save_encoders(case: Case, folder: Path) -> None:
    """Write both encoders at the sizes of the case; what reads them asks for whole folders."""
    from transformers import SiglipVisionConfig, SiglipVisionModel

    sizes = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    siglip: dict[str, Any] = {
        key: case.count("config", "siglip", key) for key in (*sizes, "image_size", "patch_size")
    }
    width, heads = siglip["hidden_size"], siglip["num_attention_heads"]
    if width % heads:
        raise case.fault(f"config.siglip.hidden_size {width} is not a multiple of {heads} heads")
    text = TextEncoderConfig(
        vocabulary=case.count("config", "text_encoder", "vocab_size"),
        width=case.count("config", "text_encoder", "hidden_size"),
        layers=case.count("config", "text_encoder", "num_hidden_layers"),
        heads=case.count("config", "text_encoder", "num_attention_heads"),
        mlp=case.count("config", "text_encoder", "intermediate_size"),
    )
    with quiet_loading():
        tower = SiglipVisionModel(SiglipVisionConfig(**siglip, vision_use_head=False))
        tower.save_pretrained(folder / "slices")
        text.build().save_pretrained(folder / "question")
