"""Does every committed recipe and experiment parse, and does the smol scale train and answer?"""

import re
from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser
from lightning import LightningModule

from tomovox.configuration import (
    TomovoxCLI,
    cli_arguments,
    instantiate,
    merged,
    names_data_class,
    read_yaml,
)
from tomovox.data.phantom import write_phantom
from tomovox.experiment import read_experiment

ROOT = Path(__file__).resolve().parents[1]
RECIPES = sorted((ROOT / "baselines").glob("*/*.yaml"))
EXPERIMENTS = sorted((ROOT / "experiments").glob("[!.]*.yaml"))
SCALES = ("tiny", "smol", "published")
TRAINED = ("blind", "m3d_lamed", "med2e3", "ms_vlm")


def name_of(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.fixture(autouse=True)
def no_command_line(monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["tomovox"])


class Parsed(TomovoxCLI):
    """The schema alone: a recipe that names a model of the hub parses without a network."""

    def instantiate_classes(self) -> None:
        """Create nothing."""


def parse(config: dict) -> Parsed:
    arguments = {"run": False, "parser_kwargs": {"exit_on_error": False}}
    by_class = names_data_class(config)
    root = {"init_args": {"root": "x"}} if by_class else {"root": "x"}
    return Parsed(**cli_arguments(by_class), args=merged(config, {"data": root}), **arguments)


# ---- recipes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_every_recipe_parses(path):
    assert parse(read_yaml(path)).config.model.class_path.startswith("tomovox.models.")


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_no_recipe_builds_or_loads_anything_before_it_is_used(path):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningModule, "model")
    model = parser.instantiate(parser.parse_object({"model": read_yaml(path)["model"]})).model
    assert not list(model.children())


@pytest.mark.parametrize("system", TRAINED)
def test_every_system_that_trains_has_all_scales(system):
    assert {p.stem for p in RECIPES if p.parent.name == system} >= set(SCALES)


@pytest.mark.parametrize("scale", SCALES[:2])
def test_one_scale_has_one_language_model_and_one_prompt(scale):
    recipes = [read_yaml(ROOT / "baselines" / s / f"{scale}.yaml") for s in TRAINED]
    languages = [r["model"]["init_args"]["language"] for r in recipes]
    templates = [dict(r["data"]["template"]["init_args"]) for r in recipes]
    for template in templates:
        template.pop("question_tokenizer", None)
    optimizers = [r["model"]["init_args"]["optimizer"] for r in recipes]
    assert all(same == each[0] for each in (languages, templates, optimizers) for same in each)


@pytest.mark.parametrize("part", ["vision3d", "vision2d"])
def test_smol_has_the_encoders_of_tiny(part):
    for system in TRAINED:
        tiny, smol = (
            read_yaml(ROOT / "baselines" / system / f"{scale}.yaml")["model"]["init_args"]
            for scale in SCALES[:2]
        )
        assert tiny.get(part) == smol.get(part)


def test_every_baseline_has_a_description_that_the_index_names():
    index = (ROOT / "baselines" / "README.md").read_text(encoding="utf-8")
    folders = [p for p in (ROOT / "baselines").iterdir() if p.is_dir()]
    assert all((p / "README.md").is_file() for p in folders)
    assert all(f"({p.name}/README.md)" in index for p in folders)


def test_every_recipe_that_a_description_names_exists():
    for readme in (ROOT / "baselines").glob("*/README.md"):
        named = set(re.findall(r"`(\w+\.yaml)`", readme.read_text(encoding="utf-8")))
        assert all((readme.parent / name).is_file() for name in named), readme.parent.name


# ---- experiments -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
def test_every_experiment_reads_and_each_of_its_models_parses(path):
    experiment = read_experiment(path)
    for entry in experiment.models.values():
        entry = {"base": entry} if isinstance(entry, str) else dict(entry)
        base = read_yaml(path.parent / entry.pop("base"))
        laid_over = {} if names_data_class(base) else experiment.overrides
        parse(merged(base, entry, laid_over))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
def test_every_experiment_says_what_is_asked_how_to_run_it_and_what_is_expected(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    head = "\n".join(lines[: next(i for i, x in enumerate(lines) if not x.startswith("#"))])
    assert "?" in lines[0] and "# run:" in head and "# expect:" in head


def test_the_smol_experiment_trains_for_at_least_one_epoch():
    experiment = read_experiment(ROOT / "experiments" / "smol.yaml")
    phantom = experiment.data.phantom
    volumes = phantom.series * (phantom.cases - phantom.test_cases - phantom.val_cases)
    instruct = next(stage for stage in experiment.fit if stage.stage == "instruct")
    assert instruct.max_steps * experiment.overrides["data"]["batch_size"] >= volumes


# ---- the smol scale, for real ----------------------------------------------------------------


@pytest.mark.needs_smollm2
def test_med2e3_at_smol_scale_learns_from_a_step_and_answers(tmp_path):
    write_phantom(tmp_path / "data", cases=4, seed=0, difficulty="easy", series=1)
    data = {"root": str(tmp_path / "data"), "batch_size": 1, "questions_per_study": 1}
    small = {"data": data, "model": {"init_args": {"max_new_tokens": 2}}}
    recipe = read_yaml(ROOT / "baselines" / "med2e3" / "smol.yaml")
    trainer = {"max_steps": 1, "logger": False, "enable_checkpointing": False}
    trainer |= {
        "limit_val_batches": 0,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }
    cli = instantiate(merged(recipe, small, {"trainer": trainer}), "med2e3")
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    trained = {n for n, p in cli.model.named_parameters() if p.requires_grad}
    assert {n.split(".")[0] for n in trained} == {"connector3d", "connector2d", "tgis", "language"}
    assert all("lora_" in n for n in trained if n.startswith("language."))
    moved = [p for n, p in cli.model.named_parameters() if "lora_B" in n]
    assert any(p.any() for p in moved)
    cli.datamodule.setup("predict")
    said = cli.model.eval().predict_step(next(iter(cli.datamodule.predict_dataloader())))
    assert torch.allclose(said.slice_scores.sum(-1), torch.tensor(1.0), atol=1e-5)
