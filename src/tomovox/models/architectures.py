"""How large are the public models that recipes name? Their sizes, to count without their files.

A config of these sizes has the parameters and the compute of the public model. It does not hold
what shapes no weight (rope factors, dropout): to run a model, its own config.json is read.
"""

from typing import Any

_PHI3_MINI: dict[str, Any] = {
    "model_type": "phi3",
    "vocab_size": 32064,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "pad_token_id": 32000,
}
_LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "microsoft/Phi-3-mini-4k-instruct": _PHI3_MINI,
    "microsoft/Phi-3-mini-128k-instruct": _PHI3_MINI,
    "meta-llama/Llama-2-7b-chat-hf": _LLAMA
    | {"vocab_size": 32000, "intermediate_size": 11008, "num_key_value_heads": 32},
    "meta-llama/Meta-Llama-3-8B-Instruct": _LLAMA
    | {"vocab_size": 128256, "intermediate_size": 14336, "num_key_value_heads": 8},
    "lmsys/vicuna-7b-v1.5": _LLAMA
    | {"vocab_size": 32000, "intermediate_size": 11008, "num_key_value_heads": 32},
    "facebook/dino-vitb16": {"model_type": "vit"},
    "google/siglip-large-patch16-256": {
        "model_type": "siglip",
        "vision_config": {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "image_size": 256,
            "patch_size": 16,
        },
    },
    "google-bert/bert-base-uncased": {"model_type": "bert"},
    "bert-base-uncased": {"model_type": "bert"},
}
"""Hub name -> what transformers' AutoConfig.for_model takes."""
