"""What reads the tokens and speaks? One wrapper around transformers' causal language models.

Letters: b rows, l positions, h width, n new tokens.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tomovox.models.decoding import Prefilled, Spoken, prefill, speak
from tomovox.models.released import load_weights
from tomovox.models.splice import Opening, Spliced
from tomovox.models.weights import load_pretrained, reads_sources
from tomovox.packaged import quiet_loading
from tomovox.schema import IGNORE, TomovoxError, Vocabulary


@dataclass
class LoraSettings:
    """Low-rank adapters (peft): rank, alpha, dropout and the names of the Linears they sit on."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    targets: str | list[str] = "all-linear"


@dataclass
class LanguageConfig:
    """Which language model speaks, and what of it trains in the instruct stage.

    `name` is a local folder, a hub name or a `package:` name; without it, `architecture` holds the
    arguments of transformers' config class of `model_type`, built from scratch and filled from
    `weights` (safetensors) when given. `grow` gives the model exactly the tokenizer's token rows;
    those of added tokens, in and out, are the mean of the others. `embeddings` are token tables
    that train in full and float32 in both stages, whatever `train` says: the input's, or both (with
    lm_head).
    `gradient_checkpointing` computes the layers again in the backward pass to save memory.
    """

    name: str | None = None
    model_type: str = "llama"
    architecture: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    train: Literal["full", "lora", "frozen"] = "full"
    lora: LoraSettings = field(default_factory=LoraSettings)
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    grow: bool = False
    embeddings: Literal["as_train", "input", "both"] = "as_train"
    gradient_checkpointing: bool = False

    @property
    def source(self) -> str | None:
        """Where the weights come from; None when they are made from scratch."""
        return self.name or self.weights

    def build(self, vocabulary: Vocabulary) -> "Language":
        """Return the language model for a tokenizer."""
        model = self._pretrained(self.name) if self.name else self._from_scratch(vocabulary)
        if self.grow:
            _fit_token_rows(model, vocabulary)
        if model.get_input_embeddings().num_embeddings < vocabulary.size:
            rows = model.get_input_embeddings().num_embeddings
            raise TomovoxError(
                f"language model {self.source or 'from scratch'} has {rows} token rows, the "
                f"tokenizer needs {vocabulary.size}: give the tokenizer that belongs to it"
            )
        if self.train == "lora":
            _add_lora(model, self.lora)
        if self.gradient_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        language = Language(model, vocabulary)
        for table in language.embedding_tables(self.embeddings):
            table.float()  # steps of training vanish in bfloat16
        return language

    def _from_scratch(self, vocabulary: Vocabulary) -> Any:
        from transformers import AutoConfig, AutoModelForCausalLM

        config = AutoConfig.for_model(
            self.model_type,
            vocab_size=vocabulary.size,
            pad_token_id=vocabulary.pad,
            eos_token_id=vocabulary.eos,
            bos_token_id=None,
            **self.architecture,
        )
        model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
        holder = load_weights(_Named(model), self.weights)
        return holder.model

    def _pretrained(self, name: str) -> Any:
        from transformers import AutoModelForCausalLM

        return load_pretrained(
            AutoModelForCausalLM,
            name,
            "language model",
            dtype=getattr(torch, self.dtype),
            attn_implementation="sdpa",
        )


class _Named(nn.Module):
    """Give a bare model the prefix `model.` that saved language stages have."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model


class Language(nn.Module):
    """A causal language model that reads embeddings."""

    def __init__(self, model: nn.Module, vocabulary: Vocabulary):
        super().__init__()
        # transformers declares too little of what its causal language models share.
        self.model: Any = model
        self.vocabulary = vocabulary

    @property
    def dtype(self) -> torch.dtype:
        """Type of the numbers that the layers read, adapters aside; a precision may change it."""
        named = self.model.named_parameters()
        layers = (p.dtype for n, p in named if "lora_" not in n and ".layers." in n)
        return next(layers, torch.float32)

    @property
    def width(self) -> int:
        """Width h of the hidden states."""
        return int(self.model.get_input_embeddings().embedding_dim)

    def embedding_tables(self, which: str) -> list[nn.Module]:
        """Return the tables that `embeddings` of the config names: none, the input's or both."""
        tables = [self.model.get_input_embeddings(), self.model.get_output_embeddings()]
        return tables[: {"as_train": 0, "input": 1, "both": 2}[which]]

    def embed(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t h"]:
        """Return input embeddings; the placeholder may lack a row and reads that of `pad`."""
        known = ids.masked_fill(ids == self.vocabulary.placeholder, self.vocabulary.pad)
        return self.model.get_input_embeddings()(known).to(self.dtype)

    def merge_adapters(self) -> None:
        """Add the low-rank adapters to the weights that they adapt: answers come sooner.

        They stay apart in what is saved before; what was merged must not be trained. Merging twice
        is merging once.
        """
        from peft.tuners.lora import LoraLayer

        for layer in self.model.modules():
            if isinstance(layer, LoraLayer) and not layer.merged:
                layer.merge()

    def hidden(self, spliced: Spliced) -> Float[Tensor, "b l h"]:
        """Return the last hidden states after the final norm."""
        body = self.model.get_decoder()
        return body(
            inputs_embeds=spliced.embeds,
            attention_mask=spliced.mask.long(),
            position_ids=spliced.positions,
            use_cache=False,
        ).last_hidden_state

    def loss(
        self, spliced: Spliced, hidden: Float[Tensor, "b l h"] | None = None
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return (cross-entropy, share of right tokens) over the labelled tokens.

        `hidden` are the states of `spliced` where they are known already. The vocabulary projection
        runs on labelled positions only.
        """
        if spliced.labels is None:
            raise ValueError("a batch without labels has no loss")
        targets = spliced.labels[:, 1:]
        counted = targets != IGNORE
        states = self.hidden(spliced) if hidden is None else hidden
        logits = self.head(states[:, :-1][counted])
        targets = targets[counted]
        right = (logits.argmax(-1) == targets).float().mean()
        return F.cross_entropy(logits, targets), right.detach()

    def logits(self, spliced: Spliced) -> Float[Tensor, "b l vocabulary"]:
        """Return the next-token logits at every position."""
        return self.head(self.hidden(spliced))

    def head(self, hidden: Float[Tensor, "... h"]) -> Float[Tensor, "... vocabulary"]:
        """Return next-token logits of hidden states, in float32."""
        head = self.model.get_output_embeddings()
        return head(hidden.to(head.weight.dtype)).float()

    @torch.no_grad()
    def prefill(self, prompts: Spliced, opening: Opening | None = None) -> Prefilled:
        """Read left-padded prompts to continue; see `decoding.prefill`."""
        return prefill(self, prompts, opening)

    @torch.no_grad()
    def greedy(self, prompts: Spliced, max_new_tokens: int) -> Int[Tensor, "b n"]:
        """Continue left-padded rows greedily until each said eos; what follows an eos is pad."""
        return self.speak(self.prefill(prompts), max_new_tokens).ids

    @torch.no_grad()
    def speak(self, prompts: Prefilled, max_new_tokens: int) -> Spoken:
        """Continue as `greedy` does, and keep the states that said [SEG]."""
        return speak(self, prompts, max_new_tokens)


def _fit_token_rows(model: Any, vocabulary: Vocabulary) -> None:
    """Give a model the tokenizer's token rows; added ones are the mean of the others (M3D, 2.6).

    A model may have spare rows, so that it shrinks although tokens were added (Phi-3).
    """
    rows, old = vocabulary.size, model.get_input_embeddings().num_embeddings
    if rows != old:
        with quiet_loading():
            model.resize_token_embeddings(rows, mean_resizing=False)
    kept = min(rows - vocabulary.added, old)
    if kept < rows and reads_sources():
        for table in (model.get_input_embeddings(), model.get_output_embeddings()):
            table.weight.data[kept:] = table.weight.data[:kept].mean(0, keepdim=True)


def _add_lora(model: nn.Module, settings: LoraSettings) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=settings.targets,
        bias="none",
        task_type="CAUSAL_LM",
    )
    inject_adapter_in_model(config, model)
    for name, parameter in model.named_parameters():
        if "lora_" in name:  # on a half-precision base too: steps of training vanish in bfloat16
            parameter.data = parameter.data.float()
