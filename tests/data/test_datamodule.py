from collections import Counter

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningModule, Trainer

from tomovox.data.datamodule import M3DDataModule
from tomovox.data.prompts import Template
from tomovox.data.records import read_records
from tomovox.schema import IGNORE, Batch, Task, TomovoxError

TASKS = ["vqa_closed", "vqa_open", "report"]


def module(m3d, **options) -> M3DDataModule:
    options = {"template": Template(), "batch_size": 2} | options
    return M3DDataModule(str(m3d.root), **options)


def ready(m3d, stage: str | None = None, **options) -> M3DDataModule:
    made = module(m3d, **options)
    made.setup(stage)
    return made


@pytest.fixture
def full(m3d):
    return m3d.fill(train=5, val=3, test=4)


def test_every_record_is_predicted_exactly_once(full):
    batches = list(ready(full, "predict").predict_dataloader())
    seen = Counter(record.id for batch in batches for record in batch.records)
    asked = [r.id for task in TASKS for r in read_records(full.root, Task(task), "test")]
    assert seen == Counter(asked)


def test_all_questions_of_a_study_are_predicted_in_one_batch(full):
    for batch in ready(full, "predict").predict_dataloader():
        assert len(batch.studies) == 1
        assert len(batch.records) == 7
        assert len({record.volumes for record in batch.records}) == 1


def test_prediction_sees_prompts_without_answers(full):
    data = ready(full, "predict")
    eos = data.template.vocabulary().eos
    for batch in data.predict_dataloader():
        assert batch.labels is None
        assert batch.attention_mask[:, -1].all()
        assert not (batch.input_ids[batch.attention_mask] == eos).any()


def test_prediction_repeats(full):
    first, second = (list(ready(full, "predict").predict_dataloader()) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.records == other.records
        assert torch.equal(one.input_ids, other.input_ids)


def test_training_batches_hold_whole_studies_with_labels(full):
    batches = list(ready(full, "fit", questions_per_study=3).train_dataloader())
    assert len(batches) == 2
    for batch in batches:
        assert len(batch.studies) == 2
        assert batch.questions.study.tolist() == [0, 0, 0, 1, 1, 1]
        assert ((batch.labels != IGNORE).sum(1) >= 2).all()


def test_voxels_stack_to_one_tensor(full):
    (batch, *_) = ready(full, "fit").train_dataloader()
    assert batch.studies.stacked().shape == (2, 1, 2, 4, 4)


def drawn(data: M3DDataModule, epoch: int) -> list[list[str]]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return [[record.id for record in batch.records] for batch in loader]


def test_the_same_seed_trains_on_the_same_draws(full):
    first, second = (ready(full, "fit", seed=4, questions_per_study=2) for _ in range(2))
    assert drawn(first, 3) == drawn(second, 3)


@pytest.mark.parametrize(("seed", "epoch"), [(4, 1), (5, 0)])
def test_another_epoch_or_seed_trains_on_other_draws(full, seed, epoch):
    first = ready(full, "fit", seed=4, questions_per_study=2)
    second = ready(full, "fit", seed=seed, questions_per_study=2)
    assert drawn(first, 0) != drawn(second, epoch)


def test_workers_do_not_change_batches(full):
    alone, helped = (ready(full, "fit", shuffle_choices=True, num_workers=n) for n in (0, 1))
    for one, other in zip(alone.train_dataloader(), helped.train_dataloader(), strict=True):
        assert one.records == other.records
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.studies.stacked(), other.studies.stacked())


def test_validation_takes_every_question_as_it_is(full):
    batches = list(ready(full, "fit", shuffle_choices=True).val_dataloader())
    asked = [r for task in TASKS for r in read_records(full.root, Task(task), "val")]
    assert Counter(r for batch in batches for r in batch.records) == Counter(asked)
    assert all(batch.labels is not None for batch in batches)


def test_the_word_tokenizer_knows_every_training_text(full):
    data = ready(full, "predict")
    tokenizer = data.template.text_tokenizer
    for text in data.train_texts():
        assert tokenizer.unk_token_id not in tokenizer(text).input_ids


def test_the_limit_does_not_change_the_vocabulary(full):
    first, second = ready(full, "fit"), ready(full, "predict", limit=1)
    assert first.template.text_tokenizer.get_vocab() == second.template.text_tokenizer.get_vocab()


def test_the_limit_counts_studies_of_each_split(full):
    data = ready(full, limit=2)
    assert len(data.train_dataloader()) == len(data.val_dataloader()) == 1
    assert len(data.predict_dataloader()) == 2


def test_a_task_may_have_its_own_test_split(full):
    full.write_vqa("test5k", [full.row(9), full.row(9, 1)])
    data = ready(full, "predict", splits={"vqa_open": "test5k"}, tasks=["vqa_closed", "vqa_open"])
    splits = Counter(r.split for batch in data.predict_dataloader() for r in batch.records)
    assert splits == {"test": 12, "test5k": 2}


def test_a_single_task_needs_only_its_files(m3d):
    m3d.write_volume(m3d.image(1))
    m3d.write_vqa("train", [m3d.row(1)])
    data = ready(m3d, "fit", tasks=["vqa_open"], val_split="train", batch_size=1)
    assert len(data.train_dataloader()) == 1


def test_left_out_questions_are_listed(full):
    (full.root / full.image(2)).unlink()
    data = ready(full, "fit", on_bad_volume="list")
    assert len(data.left_out) == 7
    assert all("000002" in reason for _, _, reason in data.left_out)


def test_what_is_left_out_is_listed_by_split(full):
    (full.root / full.image(2)).unlink()
    data = ready(full, None, on_bad_volume="list")
    assert {split for split, _, _ in data.left_out} == {"train"}
    assert data.checked_splits == ("train", "val", "test")


def test_a_second_setup_lists_nothing_twice(full):
    (full.root / full.image(2)).unlink()
    data = ready(full, "fit", on_bad_volume="list")
    data.setup("fit")
    assert len(data.left_out) == 7


def test_a_missing_root_is_named(m3d):
    data = M3DDataModule(str(m3d.root / "nowhere"), Template())
    with pytest.raises(TomovoxError, match="nowhere"):
        data.setup("fit")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"tasks": ["vqa"]}, "tasks"),
        ({"tasks": []}, "tasks"),
        ({"mix": {"rec": 1.0}}, "mix"),
        ({"mix": {"report": 0.0}}, "mix"),
        ({"mix": {"report": float("nan")}}, "mix"),
        ({"splits": {"vqa": "test"}}, "splits"),
        ({"batch_size": 0}, "batch_size"),
        ({"questions_per_study": 0}, "questions_per_study"),
        ({"limit": 0}, "limit"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_setting_that_no_data_satisfies_is_named(m3d, options, name):
    with pytest.raises(TomovoxError, match=name):
        module(m3d, **options)


def test_a_batch_larger_than_the_split_is_refused(full):
    with pytest.raises(TomovoxError, match="batch_size"):
        ready(full, "fit", batch_size=6).train_dataloader()


def test_a_loader_before_setup_is_refused(full):
    with pytest.raises(TomovoxError, match="setup"):
        module(full).train_dataloader()


def test_yaml_builds_the_module(full):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(M3DDataModule, "data")
    text = {
        "data": {
            "root": str(full.root),
            "template": {
                "class_path": "tomovox.data.prompts.Template",
                "init_args": {"max_length": 64},
            },
            "tasks": ["vqa_closed", "report"],
            "mix": {"report": 2.0},
            "splits": {"report": "test"},
            "on_bad_volume": "list",
        }
    }
    data = parser.instantiate(parser.parse_string(yaml.safe_dump(text))).data
    assert data.tasks == ("vqa_closed", "report")
    assert data.template.max_length == 64
    data.setup("fit")


class Listener(LightningModule):
    """Remembers what a trainer hands to a model; its loss is a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.trained: list[list[str]] = []

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        self.trained.append([record.id for record in batch.records])
        return self.weight.sum()

    def validation_step(self, batch: Batch, index: int) -> None:
        assert batch.labels is not None

    def predict_step(self, batch: Batch, index: int) -> list[str]:
        return [record.id for record in batch.records]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture
def trainer(tmp_path) -> Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )


def test_lightning_trains_on_new_draws_every_epoch(full, trainer):
    model = Listener()
    trainer.fit(model, datamodule=module(full, questions_per_study=2))
    assert len(model.trained) == 4
    assert model.trained[:2] != model.trained[2:]


def test_lightning_predicts_every_record_once(full, trainer):
    batches = trainer.predict(Listener(), datamodule=module(full))
    assert Counter(name for batch in batches for name in batch).most_common(1)[0][1] == 1
    assert sum(map(len, batches)) == 28


def test_augmented_volumes_with_boxes_or_masks_are_refused(m3d):
    with pytest.raises(TomovoxError, match="not the boxes and masks of rec"):
        M3DDataModule(str(m3d.root), Template(), tasks=["report", "rec"], augment=True)
