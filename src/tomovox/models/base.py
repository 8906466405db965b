"""What must a model say to be compared? How it perceives and attends; the rest is shared.

Letters: u studies, b questions, p shared and q own visual tokens, h language-model width.
"""

from abc import abstractmethod
from contextlib import nullcontext
from typing import Any, Literal

import torch
from jaxtyping import Float
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from tomovox.models.checkpoint import check_checkpoint, gathered_state, kept_state, load_initial
from tomovox.models.drawing import draw, mask_loss
from tomovox.models.halving import AtOnce, Said, with_memory
from tomovox.models.language import LanguageConfig
from tomovox.models.likelihood import ChoiceAnswers, choice_logprobs
from tomovox.models.optimising import OptimizerConfig, adamw, cosine_with_warmup
from tomovox.models.percepts import PerceptsConfig, perceived
from tomovox.models.released import KeyReport, load_whole
from tomovox.models.segmentation import SegVolConfig, seg_projector
from tomovox.models.sharding import share_out, system_of
from tomovox.models.splice import Common, Spliced, lay_out, splice
from tomovox.models.weights import reads_sources, sizes_only
from tomovox.schema import (
    Batch,
    Generated,
    Percept,
    Questions,
    Studies,
    TomovoxError,
    VisualTokens,
    Vocabulary,
)

Stage = Literal["align", "instruct"]


class VolumeLM(LightningModule):
    """A language model that reads 3D medical images; a system defines `perceive` and `attend`.

    Stage "align" trains the bridge (what stands between encoders and language model) only;
    "instruct" trains the bridge and what `language.train` says. Encoders train in instruct unless
    their config says frozen. With a `mask_head`, trained in instruct, the state that says [SEG]
    prompts SegVol for a mask (M3D-LaMed), whatever the system. `released` is a checkpoint of the
    released system that fills every part, so that no part reads its own source; `init_from` the
    RUN folder or file of an earlier stage, ours or released, loaded after it. `percepts` keeps what
    frozen encoders made of each study on disk; encoders that train bypass it.
    """

    one_series: bool = False
    """Whether a study that it reads holds one series only."""
    remark: str = ""
    """What a reader of a table must know of this system."""
    encoders: tuple[str, ...] = ()
    """Names of the attributes that are encoders; each has a config with `weights` and `frozen`."""
    slice_features: tuple[str, ...] = ()
    """Names of the features of a percept that have a row per slice: (u n ...)."""
    scoring_parts: tuple[str, ...] = ()
    """Names of the modules that decide the slice scores."""
    by_series: bool = False
    """Whether `encode` is given one series at a time, of which `join` makes the percept."""
    unread: frozenset[str] = frozenset()
    """Names of the system's own settings that `encode` does not read."""

    def __init__(
        self,
        language: LanguageConfig,
        vocabulary: Vocabulary | None = None,
        mask_head: SegVolConfig | None = None,
        stage: Stage = "instruct",
        init_from: str | None = None,
        released: str | None = None,
        optimizer: OptimizerConfig | None = None,
        max_new_tokens: int = 256,
        percepts: PerceptsConfig | None = None,
    ):
        super().__init__()
        self.strict_loading = False  # on_load_checkpoint checks the keys itself, by what was kept
        self.language_config, self.vocabulary = language, vocabulary
        self.mask_head_config = mask_head
        self.stage, self.init_from, self.released = stage, init_from, released
        self.optimizer_config = optimizer or OptimizerConfig()
        self.max_new_tokens = max_new_tokens
        self.percepts = None if percepts is None else percepts.build()
        self.sources: dict[str, str] = {}
        self.released_report: KeyReport | None = None
        self.choice_answers: ChoiceAnswers | None = None  # set to score choices when predicting
        self.at_once = AtOnce()

    # ---- what a system defines -------------------------------------------------------------

    @abstractmethod
    def build(self, width: int) -> None:
        """Create encoders and bridge for a language model of `width`."""

    @abstractmethod
    def perceive(self, studies: Studies) -> Percept:
        """Return the text-free features of the studies, one row each."""

    def encode(self, studies: Studies) -> Percept:
        """Return the part of a percept that follows from voxels alone, and can be kept on disk."""
        return self.perceive(studies)

    @abstractmethod
    def attend(self, percept: Percept, questions: Questions) -> VisualTokens:
        """Return the visual tokens of each question."""

    @property
    def volume_shape(self) -> tuple[int, int, int] | None:
        """The (D, H, W) in voxels that the encoders are bound to; None when any size will do."""
        config = getattr(self, "vision3d_config", None)
        return None if config is None else tuple(config.image)

    # ---- building and freezing -------------------------------------------------------------

    def configure_model(self) -> None:
        """Build, fill and freeze all modules once; over the devices of FSDP2, share them out."""
        if not hasattr(self, "language"):
            self.make()
        share_out(self)

    def make(self) -> None:
        """Build all modules, load what has a source, freeze what this stage does not train."""
        if self.vocabulary is None:
            raise TomovoxError(
                "model.vocabulary is not set: it comes from the datamodule's template"
            )
        with sizes_only() if self.released else nullcontext():
            self.language = self.language_config.build(self.vocabulary)
            self.build(self.language.width)
            if self.mask_head_config is not None:
                self.seg_module = self.mask_head_config.build()
                width = self.mask_head_config.vision3d.width
                self.seg_projector = seg_projector(self.language.width, width)
        self._set_trainable()
        if self.released and reads_sources():
            alpha = self.language_config.lora.alpha
            self.released_report = load_whole(self, self.released, alpha)
        if self.init_from is not None:
            load_initial(self, self.init_from)

    def frozen_encoders(self) -> list[str]:
        """Return the names of the encoders that never train."""
        return [e for e in self.encoders if getattr(self, e).config.frozen or self.stage == "align"]

    def _set_trainable(self) -> None:
        """Set requires_grad by stage; note which frozen parts their source can give again."""
        for name in self.frozen_encoders():
            getattr(self, name).requires_grad_(False).eval()
            config = getattr(self, name).config
            if source := self.released or config.weights or getattr(config, "name", None):
                self.sources[name] = source
        if self.stage == "align" and self.mask_head_config is not None:
            self.seg_module.requires_grad_(False)
            self.seg_projector.requires_grad_(False)
        train = "frozen" if self.stage == "align" else self.language_config.train
        for key, parameter in self.language.named_parameters():
            parameter.requires_grad_(train == "full" or (train == "lora" and "lora_" in key))
        for table in self.language.embedding_tables(self.language_config.embeddings):
            table.requires_grad_(True)
        source = self.released or self.language_config.source
        if source and train != "full":  # this stage's, not the config's
            self.sources["language"] = source

    def train(self, mode: bool = True) -> "VolumeLM":
        """Set the mode; frozen parts stay in eval, so that their dropout is never active."""
        super().train(mode)
        if hasattr(self, "language"):
            for name in self.frozen_encoders():
                getattr(self, name).eval()
            if not any(p.requires_grad for p in self.language.parameters()):
                self.language.eval()
        return self

    # ---- the shared path -------------------------------------------------------------------

    def read(self, batch: Batch) -> tuple[Spliced, VisualTokens]:
        """Perceive, attend, splice: return what the language model reads, and its visual tokens."""
        return self.read_percept(perceived(self, batch.studies), batch)

    def read_percept(self, percept: Percept, batch: Batch) -> tuple[Spliced, VisualTokens]:
        """Return what the language model reads when the studies are already perceived."""
        visual = self.attend(percept, batch.questions)
        tokens, mask = lay_out(visual, batch.questions.study)
        holders = batch.input_ids == self.language.vocabulary.placeholder
        if not bool((holders.sum(-1) == 1).all()):
            raise TomovoxError(
                "every prompt needs exactly one <image> placeholder: check data.template.layout"
            )
        embeds = self.language.embed(batch.input_ids)
        place = holders.long().argmax(-1)
        return splice(embeds, batch.attention_mask, batch.labels, place, tokens, mask), visual

    def forward(self, batch: Batch) -> Float[Tensor, "b l vocabulary"]:
        """Return the next-token logits of every position of the spliced rows."""
        return self.language.logits(self.read(batch)[0])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch of questions with their answers."""
        loss, right = self._losses("train", batch)
        size = len(batch.records)
        self.log("train/loss", loss, prog_bar=True, batch_size=size)
        self.log("train/token_accuracy", right, prog_bar=True, batch_size=size)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log loss and token accuracy on validation questions."""
        loss, right = self._losses("val", batch)
        size = len(batch.records)
        self.log("val/loss", loss, prog_bar=True, batch_size=size, sync_dist=True)
        self.log("val/token_accuracy", right, batch_size=size, sync_dist=True)

    def _losses(self, name: str, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss, that of masks included, and the share of right tokens."""
        spliced, _ = self.read(batch)
        if self.mask_head_config is None or self.stage == "align":
            return self.language.loss(spliced)
        hidden = self.language.hidden(spliced)
        loss, right = self.language.loss(spliced, hidden)
        seg = self.language.vocabulary.seg
        masks = mask_loss(self.seg_module, self.seg_projector, batch, spliced, hidden, seg)
        self.log(f"{name}/mask_loss", masks.detach(), batch_size=len(batch.records))
        return loss + masks, right

    @torch.no_grad()
    def predict_step(self, batch: Batch, batch_idx: int = 0) -> Generated:
        """Continue the prompts of one batch greedily; draw masks and score choices if asked to.

        Studies are perceived once, however few questions fit at once; TomovoxError if none does.
        """
        percept = with_memory(lambda: perceived(self, batch.studies), batch, "its volumes")
        pad, masks = self.language.vocabulary.pad, None
        common = Common.of(batch, self.language.vocabulary.placeholder)
        said = self.at_once.answer(batch, lambda part: self._say(percept, common, part), pad)
        del percept  # what draws a mask may need its memory
        if self.mask_head_config is not None:
            parts = self.seg_module, self.seg_projector
            masks = with_memory(lambda: draw(*parts, batch, said.spoken), batch, "a mask")
        return Generated(said.spoken.ids, said.slice_scores, masks, said.choice_logprobs)

    def _say(self, percept: Percept, common: Common, batch: Batch) -> Said:
        """Answer questions about studies that are perceived already."""
        spliced, visual = self.read_percept(percept, batch)
        prompts = self.language.prefill(spliced, common.opening(batch, visual))
        logprobs = choice_logprobs(self.language, prompts, batch.records, self.choice_answers)
        spoken = self.language.speak(prompts, self.max_new_tokens)
        return Said(spoken, visual.slice_scores, logprobs)

    # ---- optimisation and checkpoints ------------------------------------------------------

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW over what trains; norms and biases do not decay."""
        config = self.optimizer_config
        named = [(n, p) for n, p in self.named_parameters() if p.requires_grad]
        if not named:
            raise TomovoxError(
                f"nothing trains in stage {self.stage}: check frozen, language.train and stage"
            )
        optimizer = adamw(named, config)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: cosine_with_warmup(step, steps, config.warmup, config.floor)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out the frozen parts that their source gives back."""
        checkpoint["state_dict"] = gathered_state(self, checkpoint["state_dict"])
        checkpoint["tomovox"] = {"system": system_of(self), "sources": dict(self.sources)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another model or with other keys (TomovoxError)."""
        self.configure_model()
        system = checkpoint.get("tomovox", {}).get("system", "another program")
        # Under FSDP2 Lightning has read the weights by now, and took them out.
        state = checkpoint.get("state_dict", kept_state(self))
        check_checkpoint(self, state, system, "checkpoint")


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """Return (trainable, total) numbers of parameters."""
    sizes = [(p.numel(), p.requires_grad) for p in module.parameters()]
    return sum(n for n, trains in sizes if trains), sum(n for n, _ in sizes)
