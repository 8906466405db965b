"""How does Med-2E3 read a volume? 3D tokens, and 2D tokens of the slices a question needs.

Letters: u studies, b questions, q distinct ones, t tokens of a question, n slices, g depth slabs, m
3D tokens per slab, p tokens per slice, h language width.
Source: Med-2E3 (arXiv 2411.12783v2): dual encoders, TG-IS, [3D tokens; weighted 2D tokens].
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tomovox.models.base import VolumeLM
from tomovox.models.projector import mlp, pool_grid
from tomovox.models.released import load_weights
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.tgis import Scoring, TextGuidedScoring
from tomovox.models.vit3d import ViT3DConfig
from tomovox.models.weights import load_pretrained, reads_sources, sizes_only
from tomovox.schema import Percept, Questions, Studies, TomovoxError, VisualTokens


@dataclass
class QuestionEncoderConfig:
    """What turns the question into z_T.

    "embedding" is the mean of the language model's own input embeddings (Med-2E3 v1). "pooler" is
    the tanh pooler of a BERT (v2: M3D-CLIP's language encoder) and "mean" the mean of its last
    hidden states (sentence encoders such as MiniLM); both name a local folder, a hub model or a
    `package:` model in `name` and stay frozen. `weights` is a checkpoint of M3D-CLIP whose language
    encoder takes the place of a named pooler's weights.
    """

    kind: Literal["embedding", "pooler", "mean"] = "embedding"
    name: str | None = None
    weights: str | None = None

    @property
    def source(self) -> str | None:
        """Where the weights come from; None when the language model embeds the question."""
        return None if self.kind == "embedding" else self.weights or self.name


class Med2E3(VolumeLM):
    """3D encoder and per-slice 2D encoder joined by Text-Guided Inter-Slice scoring (Med-2E3).

    `tokens` chooses the visual tokens: both (the method), only 3d or only 2d (ablations).
    `text_mlp` "random" redraws TG-IS's projection of the question from `text_mlp_seed` after a
    checkpoint is loaded: the released code saves it and never loads it, so that its evaluation and
    its second stage start from such a draw. The other arguments are those of TextGuidedScoring.
    """

    one_series = True
    encoders = ("vision3d", "vision2d")
    slice_features = ("tokens2d",)
    scoring_parts = ("tgis",)

    def __init__(
        self,
        vision3d: ViT3DConfig,
        vision2d: SliceEncoderConfig,
        question: QuestionEncoderConfig | None = None,
        pool: int = 2,
        scoring: Scoring = "tgis",
        tokens: Literal["both", "3d", "2d"] = "both",
        score_norm: Literal["none", "layer"] = "none",
        temperature: float = 5.0,
        top_k: int = 3,
        score_dropout: float = 0.1,
        scoring_seed: int = 0,
        text_mlp: Literal["trained", "random"] = "trained",
        text_mlp_seed: int = 0,
        **shared: Any,
    ):
        """Take the configs of the parts; `shared` are the arguments of VolumeLM."""
        super().__init__(**shared)
        self.vision3d_config, self.vision2d_config, self.pool = vision3d, vision2d, pool
        self.question_config = question or QuestionEncoderConfig()
        self.tokens = tokens
        self.text_mlp, self.text_mlp_seed = text_mlp, text_mlp_seed
        self.scoring_arguments: dict[str, Any] = {
            "scoring": scoring,
            "score_norm": score_norm,
            "temperature": temperature,
            "top_k": top_k,
            "dropout": score_dropout,
            "seed": scoring_seed,
        }

    def build(self, width: int) -> None:
        """Create encoders, connectors and the scoring."""
        self.vision3d = self.vision3d_config.build()
        self.vision2d = self.vision2d_config.build()
        self.connector3d = mlp(self.vision3d_config.width, width)
        self.connector2d = mlp(self.vision2d.width, width)
        self.question = QuestionEncoder(self.question_config, width)
        if source := self.question_config.source:
            self.sources["question"] = self.released or source
        self.tgis = TextGuidedScoring(self.question.width, width, **self.scoring_arguments)
        if self.vision2d_config.kind == "conv":  # its CLS vector is not read
            self.vision2d.body.pool.requires_grad_(False)
        self._freeze_unused()

    def make(self) -> None:
        """Build and fill all modules; redraw the projection of the question if asked to."""
        super().make()
        if self.text_mlp == "random" and reads_sources():
            draws = torch.Generator().manual_seed(self.text_mlp_seed)
            projection = self.tgis.text_mlp
            nn.init.normal_(projection.weight, std=0.02, generator=draws)
            nn.init.zeros_(projection.bias)

    def _freeze_unused(self) -> None:
        """Freeze the parts that an ablation leaves without a gradient."""
        unused: list[nn.Module] = []
        if self.tokens == "3d":
            unused = [self.vision2d, self.connector2d, self.tgis]
        elif self.tokens == "2d" and not self.tgis.reads_question:
            unused = [self.vision3d, self.connector3d]  # 3D tokens would serve the keys alone
        for part in unused:
            part.requires_grad_(False)

    def perceive(self, studies: Studies) -> Percept:
        """Return pooled 3D tokens (u g*m d) and the 2D tokens of every slice (u n p e)."""
        volume = studies.stacked()
        u, _, depth, height, width = volume.shape
        tokens3d = self.vision3d(volume)[:, 1:]
        _, tokens2d = self.vision2d(volume.transpose(1, 2).reshape(u * depth, 1, height, width))
        return Percept(
            {
                "tokens3d": pool_grid(tokens3d, self.vision3d_config.grid, self.pool),
                "tokens2d": tokens2d.view(u, depth, *tokens2d.shape[1:]),
            }
        )

    def attend(self, percept: Percept, questions: Questions) -> VisualTokens:
        """Return projected 3D tokens for all; per question the slices' tokens weighted by TG-IS."""
        tokens3d = self.connector3d(percept.features["tokens3d"])
        if self.tokens == "3d":
            return VisualTokens(shared=tokens3d)
        tokens2d = percept.features["tokens2d"]
        slabs = tokens3d.unflatten(1, (self.vision3d_config.grid[0] // self.pool, -1))
        text = self.question(questions, self.language)
        own, scores = self.tgis(slabs, tokens2d, self.connector2d, text, questions.study)
        count = tokens2d.shape[1]
        index = torch.arange(count, device=own.device)
        shared = tokens3d if self.tokens == "both" else tokens3d[:, :0]
        return VisualTokens(
            shared=shared,
            own=own,
            slice_scores=scores,
            slices=torch.stack([torch.zeros_like(index), index], dim=1),
        )


class QuestionEncoder(nn.Module):
    """z_T of a question (Med-2E3, section on TG-IS)."""

    def __init__(self, config: QuestionEncoderConfig, language_width: int):
        super().__init__()
        self.kind, self.width = config.kind, language_width
        if config.kind != "embedding":
            from transformers import AutoModel

            if config.name is None:
                raise TomovoxError(
                    f"question encoder {config.kind!r} needs `name`: a hub name or a local folder"
                )
            pooled = config.kind == "pooler"
            with sizes_only() if config.weights else nullcontext():
                body = load_pretrained(
                    AutoModel,
                    config.name,
                    "question encoder",
                    dtype=torch.float32,
                    **({} if pooled else {"add_pooling_layer": False}),
                )
            self.body = load_weights(body, config.weights).requires_grad_(False)
            self.width = self.body.config.hidden_size

    def train(self, mode: bool = True) -> "QuestionEncoder":
        """Stay in eval: a frozen encoder has no active dropout."""
        return super().train(False)

    def forward(self, questions: Questions, language: nn.Module) -> Float[Tensor, "b t"]:
        """Return one vector per question; a BERT reads what several rows ask only once.

        Nothing is kept from batch to batch: a run that was cut gives the digits of a whole one.
        """
        if self.kind == "embedding":
            embedded = language.embed(questions.ids)  # type: ignore[operator]
            return _masked_mean(embedded, questions.mask.unsqueeze(-1))
        ids, mask, row = _distinct(questions.ids, questions.mask)
        with torch.no_grad():
            output = self.body(input_ids=ids, attention_mask=mask.long())
        pooled = self.kind == "pooler"
        vectors = output.pooler_output if pooled else _masked_mean(output[0], mask.unsqueeze(-1))
        return vectors[row]


def _distinct(
    ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"]
) -> tuple[Int[Tensor, "q t"], Bool[Tensor, "q t"], Int[Tensor, "b"]]:
    """Return the distinct questions of a batch, and which of them each row asks."""
    if len(ids) == 1:
        return ids, mask, torch.zeros(1, dtype=torch.long, device=ids.device)
    marked = ids.masked_fill(~mask, -1)
    rows, row = marked.unique(dim=0, return_inverse=True)
    return rows.clamp(min=0), rows >= 0, row


def _masked_mean(tokens: Float[Tensor, "b t d"], mask: Tensor) -> Float[Tensor, "b d"]:
    return (tokens * mask).sum(1) / mask.sum(1).clamp(min=1)
