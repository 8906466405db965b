"""Tiny models on disk in the places of the public ones that recipes at published size name."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

TEXT = ["a liver and a kidney", "which organ? A. spleen B. lung", "USER: ASSISTANT:"]
SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}


def language_folder(folder: Path, kind: str) -> Path:
    """Write a language model of two layers in bfloat16, and its tokenizer, which writes BOS."""
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    place = folder / kind
    if place.is_dir():
        return place
    special = ["<unk>", "<s>", "</s>", "<|endoftext|>", "<pad>"]
    end = "<|endoftext|>" if kind == "phi3" else "</s>"
    bytes_ = Tokenizer(models.BPE(unk_token="<unk>"))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bytes_.train_from_iterator(TEXT, trainer)
    bytes_.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", bytes_.token_to_id("<s>"))]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_,
        bos_token="<s>",
        eos_token=end,
        unk_token="<unk>",
        pad_token="<pad>",
    )
    config = AutoConfig.for_model(
        kind,
        **SIZES,
        num_attention_heads=2,
        num_key_value_heads=2,
        vocab_size=len(tokenizer) + 1,  # one row for the placeholder of templates that add it
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


def slice_encoder_folder(folder: Path, kind: str) -> Path:
    """Write a SigLIP or a ViT of 64 pixels in patches of 16."""
    from transformers import SiglipVisionConfig, SiglipVisionModel, ViTConfig, ViTModel

    place = folder / f"slices-{kind}"
    if not place.is_dir():
        sizes = {**SIZES, "num_attention_heads": 2, "image_size": 64, "patch_size": 16}
        tower = (
            SiglipVisionModel(SiglipVisionConfig(**sizes, vision_use_head=False))
            if kind == "siglip"
            else ViTModel(ViTConfig(**sizes), add_pooling_layer=False)
        )
        tower.save_pretrained(place)
    return place


def text_encoder_folder(folder: Path, tokenizer: Path) -> Path:
    """Write a BERT with a row for every token of a tokenizer's folder."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    place = folder / "bert"
    if not place.is_dir():
        words = len(AutoTokenizer.from_pretrained(tokenizer)) + 8
        BertModel(BertConfig(**SIZES, num_attention_heads=2, vocab_size=words)).save_pretrained(
            place
        )
    return place
