"""What do we call the weights of a released checkpoint? One literal table of layouts.

A layout is one way in which the released code of a system writes its keys. Spellings that several
releases have of one key are made one first; then the opening of the key is replaced by ours.
Sources: released code of M3D (M3D-CLIP, M3D-LaMed), SegVol and Med-2E3 (arXiv 2411.12783v2).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """How one kind of released checkpoint names its weights, and what they are called here.

    `openings` pairs the start of a released key with the start of ours; the first that fits counts,
    and what follows is the same. `spellings` are (pattern, replacement) on the released key before
    that. `unused` are patterns of released weights that no computation reads. `optional` are parts
    of ours that a recipe may leave out. `marks` are patterns that all must be found in a checkpoint
    for it to be of this layout. A `partial` layout fills only what its openings name. `needed` are
    weights outside of stacked layers that every checkpoint of this layout has.
    """

    name: str
    title: str
    marks: tuple[str, ...]
    openings: tuple[tuple[str, str], ...]
    spellings: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    partial: bool = False
    needed: tuple[str, ...] = ()

    def plain(self, released: str) -> str:
        """Return the key in the one spelling that `openings` and `unused` know."""
        for pattern, replacement in self.spellings:
            released = re.sub(pattern, replacement, released)
        return released

    def is_unused(self, released: str) -> bool:
        """Whether a key names a weight that is written and never read."""
        return any(re.match(pattern, self.plain(released)) for pattern in self.unused)

    def ours(self, released: str) -> str | None:
        """Return our name of a released key; None when this layout has no such opening."""
        plain = self.plain(released)
        for theirs, ours in self.openings:
            if plain.startswith(theirs):
                return ours + plain.removeprefix(theirs)
        return None

    def released(self, ours: str) -> str | None:
        """Return the released name of our key; None for a weight that the release does not have."""
        fitting = [pair for pair in self.openings if ours.startswith(pair[1])]
        if not fitting:
            return None
        theirs, opening = max(fitting, key=lambda pair: len(pair[1]))
        return theirs + ours.removeprefix(opening)


ROTARY = r".*rotary_emb\.inv_freq$"
"""Frequencies that older releases wrote beside their weights; they follow from the config."""

_LAMED_PARTS = (
    ("model.vision_tower.vision_tower.", "vision3d."),
    ("model.mm_projector.", "mm_projector."),
    ("model.seg_module.", "seg_module."),
    ("model.seg_projector.", "seg_projector."),
)
_VIT = (
    "cls_token",
    *(f"patch_embedding.{n}" for n in ("position_embeddings", "patch_embeddings.1.weight")),
    *("patch_embedding.patch_embeddings.1.bias", "norm.weight", "norm.bias"),
)
_PROJECTOR = tuple(f"{n}.{kind}" for n in (0, 2) for kind in ("weight", "bias"))
_PEFT = (r"^base_model\.model\.", "")
_CLIP_REST = (r"language_encoder\.", r"mm_(?:vision|language)_proj\.", r"logit_scale$")
_POSITIONS = r"language_encoder\.embeddings\.position_ids$"

M3D_LAMED = Layout(
    name="m3d_lamed",
    title="M3D-LaMed",
    marks=(r"model\.layers\.", r"model\.(?:vision_tower|mm_projector)\."),
    openings=(
        *_LAMED_PARTS,
        ("model.", "language.model.model."),
        ("lm_head.", "language.model.lm_head."),
    ),
    spellings=(_PEFT, (r"\.lora_([AB])\.weight$", r".lora_\1.default.weight")),
    unused=(ROTARY,),
    optional=("seg_module", "seg_projector"),
    needed=(
        *("model.embed_tokens.weight", "model.norm.weight"),
        *(f"model.vision_tower.vision_tower.{weight}" for weight in _VIT),
        *(f"model.mm_projector.projector.{weight}" for weight in _PROJECTOR[:2]),
    ),
)
M3D_CLIP = Layout(
    name="m3d_clip",
    title="M3D-CLIP",
    marks=(r"vision_encoder\.cls_token$", r"language_encoder\.", r"logit_scale$"),
    openings=tuple(
        (part, part)
        for part in (
            *("vision_encoder.", "language_encoder.", "mm_vision_proj.", "mm_language_proj."),
            "logit_scale",
        )
    ),
    unused=(_POSITIONS,),
    needed=(
        *(f"vision_encoder.{weight}" for weight in _VIT),
        *(f"language_encoder.embeddings.{n}.weight" for n in ("word_embeddings", "LayerNorm")),
        *(
            f"mm_{part}_proj.{kind}"
            for part in ("vision", "language")
            for kind in ("weight", "bias")
        ),
        "logit_scale",
    ),
)
MED2E3 = Layout(
    name="med2e3",
    title="Med-2E3",
    marks=(r"llm\.", r"vision2d_connector\.", r"vision3d_connector\."),
    openings=(
        ("llm.", "language.model."),
        ("vision2d_model.vision_model.", "vision2d.body.tower."),
        ("vision2d_connector._connector.", "connector2d."),
        ("vision3d_model.vision_encoder.", "vision3d."),
        ("vision3d_model.language_encoder.", "question.body."),
        ("vision3d_connector._connector.", "connector3d."),
        ("vision3d_connector.text_mlp.", "tgis.text_mlp."),
    ),
    spellings=(
        (
            r"^vision2d_model\.(?:vision2d_encoder\.)?(?:vision_model\.)?",
            "vision2d_model.vision_model.",
        ),
        (r"^vision3d_model\.vision3d_encoder\.", "vision3d_model."),
    ),
    unused=(
        r"vision2d_model\.vision_model\.head\.",
        *(rf"vision3d_model\.{rest}" for rest in _CLIP_REST[1:]),
        rf"vision3d_model\.{_POSITIONS}",
        ROTARY,
    ),
    needed=(
        *("llm.model.embed_tokens.weight", "llm.model.norm.weight"),
        *(f"vision3d_model.vision_encoder.{weight}" for weight in _VIT),
        *(f"vision{n}d_connector._connector.{weight}" for n in (2, 3) for weight in _PROJECTOR),
        *(f"vision3d_connector.text_mlp.{kind}" for kind in ("weight", "bias")),
    ),
)
SEGVOL = Layout(
    name="segvol",
    title="SegVol",
    marks=(r"model\.image_encoder\.", r"model\.mask_decoder\."),
    openings=(("model.", ""),),
    unused=(r"model\.text_encoder\.",),
)
OWN_MASK_HEAD = Layout(
    name="mask_head",
    title="mask head of this suite",
    marks=(r"image_encoder\.", r"mask_decoder\."),
    openings=(("", ""),),
)
M3D_VIT = Layout(
    name="m3d_vit",
    title="3D ViT of M3D-CLIP (pretrained_ViT.bin)",
    marks=(r"cls_token$", r"patch_embedding\.position_embeddings$", r"blocks\.0\."),
    openings=(("", ""),),
    needed=_VIT,
)
M3D_ALIGN = Layout(
    name="m3d_align",
    title="projector and embeddings of M3D-LaMed after stage 1 (mm_projector.bin)",
    marks=(r"model\.mm_projector\.projector\.", r"model\.embed_tokens\.weight$"),
    openings=(
        ("model.mm_projector.", "mm_projector."),
        ("model.embed_tokens.", "language.model.model.embed_tokens."),
    ),
    partial=True,
    needed=tuple(f"model.mm_projector.projector.{weight}" for weight in _PROJECTOR[:2]),
)

LAYOUTS = (M3D_LAMED, MED2E3, M3D_CLIP, SEGVOL, M3D_ALIGN, M3D_VIT)
"""Every layout that is known; an earlier one is tried first."""


def _part(whole: Layout, opening: str, rest: tuple[str, ...]) -> Layout:
    """Return the layout that takes one part out of a whole checkpoint, under names of its own."""
    return Layout(
        name=whole.name,
        title=f"{opening.rstrip('.')} of {whole.title}",
        marks=whole.marks,
        openings=((opening, ""),),
        spellings=whole.spellings,
        unused=rest,
    )


PARTS: dict[str, tuple[Layout, ...]] = {
    "ViT3D": (
        _part(M3D_CLIP, "vision_encoder.", _CLIP_REST),
        _part(
            M3D_LAMED,
            "model.vision_tower.vision_tower.",
            (r"model\.(?!vision_tower)", r"lm_head\."),
        ),
        M3D_VIT,
    ),
    "BertModel": (
        _part(M3D_CLIP, "language_encoder.", (_POSITIONS, r"vision_encoder\.", *_CLIP_REST[1:])),
    ),
    "SegVol": (
        _part(M3D_LAMED, "model.seg_module.", (r"model\.(?!seg_module)", r"lm_head\.")),
        SEGVOL,
        OWN_MASK_HEAD,
    ),
    "M3DCLIP": (M3D_CLIP,),
    "M3DLaMed": (M3D_LAMED, M3D_ALIGN),
    "Med2E3": (MED2E3,),
}
"""Class of a module -> the layouts whose checkpoints it can be filled from."""


def recognise(keys: Iterable[str], layouts: Iterable[Layout] = LAYOUTS) -> Layout | None:
    """Return the first layout all of whose marks some key bears; None when none fits."""
    known = list(keys)
    for layout in layouts:
        plain = [layout.plain(key) for key in known]
        if all(any(re.match(mark, key) for key in plain) for mark in layout.marks):
            return layout
    return None
