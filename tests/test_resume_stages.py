"""Is a run whose stages read no label, killed wherever, the run that it would have been?"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from faults import LANGUAGE, ROOT, differing, experiment, finished, start

PARTS = {
    "vision2d": {"image": 32, "patch": 8, "width": 32},
    "zformer": {"width": 32, "layers": 1, "heads": 2},
    "language": {"architecture": LANGUAGE},
    **{"latents": 4, "resampler_layers": 1},
}
VIEWS = {"slices_per_volume": 1, "small_views": 1, "prototypes": 8}
CHANGES = {
    "data": {
        "phantom": {
            **{"cases": 7, "shape": [8, 32, 32], "series": 1, "test_cases": 1, "val_cases": 1},
        }
    },
    "shared": {
        "vision2d": {"method": "self_distillation", "max_steps": 3, "batch_size": 2, **VIEWS},
        "zformer": {"max_steps": 3, "batch_size": 2},
    },
    "fit": [{"stage": "align", "max_steps": 1}],
    "models": {
        "ms_vlm": {
            "base": str(ROOT / "baselines" / "ms_vlm" / "tiny.yaml"),
            "model": {"init_args": PARTS},
        }
    },
    "controls": [],
}


def test_a_run_that_dies_once_at_every_write_of_its_stages_ends_as_the_uncut_one(tmp_path):
    path, whole, output = experiment(tmp_path, **CHANGES), tmp_path / "uncut", tmp_path / "run"
    finished(path, whole)
    points, stages = tmp_path / "points", len(CHANGES["shared"])
    process = start(path, output, points)
    process.join()
    while process.exitcode == -9 and len(list(output.glob("shared/*/model.safetensors"))) < stages:
        process = start(path, output, points)
        process.join()
    died_at = points.read_text(encoding="utf-8").splitlines()
    vectors = {path.name for path in whole.glob("shared/vectors-*/*/*.safetensors")}
    assert len(vectors) == 5 and {f"before {name}" for name in vectors} <= set(died_at)
    assert {"before training.ckpt", "after training.ckpt", "before stage.json"} <= set(died_at)
    finished(path, output)
    assert differing(whole, output) == []
