"""Is the config of a part that cannot be read named, with its reason in one line?"""

import json

import pytest

from tomovox.models.weights import read_config
from tomovox.schema import TomovoxError

DAMAGED = [
    *("", "[]", "null", "[" * 100_000, '"llama"', '{"model_type": []}'),
    json.dumps({"model_type": "llama", "hidden_size": "8"}),
    json.dumps({"model_type": "llama", "num_hidden_layers": None}),
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_config_names_its_part_and_folder(tmp_path, content):
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(TomovoxError, match=rf"language model {tmp_path}: cannot be loaded \(.+\)"):
        read_config(str(tmp_path), "language model")
