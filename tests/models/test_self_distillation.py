"""Does the teacher follow its student, and does neither of them fall asleep?"""

import pytest
import torch
from lightning import Trainer, seed_everything
from tiny_models import vision2d
from torch.utils.data import DataLoader

from tomovox.models import self_distillation
from tomovox.models.part_training import between, save_part
from tomovox.models.self_distillation import (
    DistillationConfig,
    SelfDistillation,
    answers,
    distillation_loss,
    entropy,
    follow,
    sharpened,
)
from tomovox.progress import PLAIN_TRAINER

HEAD = {"prototypes": 12, "hidden": 16, "bottleneck": 8, "prototypes_still": 0.0}


def made(seed: int = 0, **changes) -> SelfDistillation:
    torch.manual_seed(seed)
    module = SelfDistillation(vision2d(), DistillationConfig(**(HEAD | changes)), lr=3e-3)
    module.configure_model()
    return module


def views(count: int = 4, small: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    large = torch.rand(2, count, 1, 16, 16, generator=draws)
    return large, torch.rand(small, count, 1, 8, 8, generator=draws)


def loss_of(module: SelfDistillation, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    module.log = module.log_dict = lambda *_, **__: None
    type(module).progress = property(lambda self: 0.5)
    return module.training_step(batch, 0)


@pytest.fixture(autouse=True)
def own_progress(monkeypatch):
    """Let `loss_of` set how far a training is without leaving a trace."""
    monkeypatch.setattr(SelfDistillation, "progress", SelfDistillation.progress)


def fitted(batch: tuple[torch.Tensor, torch.Tensor], steps: int, **changes) -> SelfDistillation:
    seed_everything(0, verbose=False)
    module = made(**changes)
    plain = {**PLAIN_TRAINER, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = Trainer(max_steps=steps, max_epochs=-1, **plain)
    trainer.fit(module, DataLoader([batch] * 4, batch_size=None, collate_fn=lambda same: same))
    return module


# ---- the loss --------------------------------------------------------------------------------


def random_answers(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 5, 7, generator=torch.Generator().manual_seed(seed))


def test_the_loss_is_never_below_the_entropy_of_the_targets():
    targets = sharpened(random_answers(2, 0), torch.zeros(7), 0.5)
    assert distillation_loss(random_answers(4, 1), targets, 0.5) > entropy(targets).mean()


def test_a_student_that_says_of_equal_views_what_its_teacher_says_reaches_that_entropy():
    said = random_answers(1, 0).expand(2, -1, -1)
    targets = sharpened(said, torch.zeros(7), 0.5)
    loss = distillation_loss(said, targets, 0.5)
    torch.testing.assert_close(loss, entropy(targets).mean())


def test_the_student_is_not_asked_about_the_view_that_the_teacher_saw():
    said, targets = random_answers(2, 0), torch.full((2, 5, 7), 0.0)
    targets[0, :, 0] = 1.0  # the second view's teacher is silent: only pair (0, 1) is left
    other = said.clone()
    other[0] = random_answers(1, 3)[0]
    torch.testing.assert_close(
        distillation_loss(said, targets, 0.1), distillation_loss(other, targets, 0.1)
    )


def test_small_views_are_compared_with_both_large_ones():
    said, targets = random_answers(3, 0), sharpened(random_answers(2, 1), torch.zeros(7), 0.5)
    by_hand = [
        -(targets[t] * (said[v] / 0.1).log_softmax(-1)).sum(-1).mean()
        for t in range(2)
        for v in range(3)
        if t != v
    ]
    torch.testing.assert_close(distillation_loss(said, targets, 0.1), torch.stack(by_hand).mean())


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_order_of_slices_in_a_batch_changes_nothing(batch_norm):
    large, small = views(5)
    order = torch.tensor([3, 1, 4, 0, 2])
    module, again = (made(batch_norm=batch_norm) for _ in range(2))
    shuffled = loss_of(again, (large[:, order], small[:, order]))
    torch.testing.assert_close(loss_of(module, (large, small)), shuffled)
    torch.testing.assert_close(module.centre, again.centre)


def test_a_batch_without_small_views_has_a_loss():
    assert torch.isfinite(loss_of(made(), views(small=0)))


# ---- student and teacher ---------------------------------------------------------------------


def test_at_first_the_teacher_says_what_its_student_says():
    module, (large, small) = made(), views()
    for seen in (large, small):
        torch.testing.assert_close(
            answers(module.teacher, seen), answers(module.student, seen).detach()
        )


def test_the_student_alone_gets_a_gradient_and_all_of_it_does():
    module = made()
    loss_of(module, views()).backward()
    assert all(p.grad is None and not p.requires_grad for p in module.teacher.parameters())
    assert [n for n, p in module.student.named_parameters() if p.grad is None] == []


def test_the_teacher_is_the_running_mean_of_its_students():
    module = made()
    before = [p.clone() for p in module.teacher.parameters()]
    with torch.no_grad():
        for p in module.student.parameters():
            p.add_(1.0)
    follow(module.teacher, module.student, 0.9)
    for old, now in zip(before, module.teacher.parameters(), strict=True):
        torch.testing.assert_close(now, old + 0.1)


def test_after_a_step_the_teacher_has_followed_the_student_that_the_step_made():
    start, module = made(), fitted(views(), 1)
    share = 1 - between(module.distillation.momentum, 1.0, 0.0)
    pairs = zip(start.teacher.parameters(), module.student.parameters(), strict=True)
    for (first, student), teacher in zip(pairs, module.teacher.parameters(), strict=True):
        torch.testing.assert_close(teacher, first.lerp(student, share))


def test_the_teacher_s_inertia_and_the_weight_decay_follow_a_cosine_over_the_steps(monkeypatch):
    inertia = []
    monkeypatch.setattr(self_distillation, "follow", lambda *given: inertia.append(given[-1]))
    module = fitted(views(), 4)
    start = module.distillation.momentum
    assert inertia == pytest.approx([between(start, 1.0, step / 4) for step in range(4)])
    decays, norms = (g["weight_decay"] for g in module.trainer.optimizers[0].param_groups)
    assert decays == pytest.approx(between(*module.weight_decay, 3 / 4)) and norms == 0


@pytest.mark.parametrize(
    ("progress", "temperature"), [(0.0, 0.04), (0.05, 0.055), (0.1, 0.07), (0.9, 0.07)]
)
def test_the_teacher_s_temperature_rises_and_stays(monkeypatch, progress, temperature):
    monkeypatch.setattr(SelfDistillation, "progress", progress)
    module = made(teacher_temperature=(0.04, 0.07), teacher_warmup=0.1)
    assert module._teacher_temperature() == pytest.approx(temperature)


def test_the_teacher_answers_at_the_temperature_of_the_moment(monkeypatch):
    seen = []
    monkeypatch.setattr(
        self_distillation, "sharpened", lambda *given: seen.append(given) or sharpened(*given)
    )
    module = made(teacher_temperature=(0.2, 0.6), teacher_warmup=1.0)
    loss_of(module, views())
    taught, _, temperature = seen[0]
    assert taught.shape[0] == 2 and temperature == pytest.approx(0.4)


def test_prototypes_are_held_still_at_first():
    start, module = made(), fitted(views(), 2, prototypes_still=1.0)
    torch.testing.assert_close(
        module.student["head"].prototypes, start.student["head"].prototypes, rtol=1e-3, atol=1e-4
    )


def test_the_same_seed_gives_the_same_weights():
    one, other = (fitted(views(), 3).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_kept_is_the_teacher_s_encoder_as_a_model_reads_it(tmp_path):
    module = fitted(views(), 2)
    save_part(module, tmp_path / "model.safetensors")
    encoder = vision2d(weights=str(tmp_path)).build()
    cls, _ = encoder(views()[0][0])
    torch.testing.assert_close(cls, module.teacher["encoder"](views()[0][0])[0])


# ---- collapse --------------------------------------------------------------------------------


@pytest.mark.parametrize(("centre_momentum", "collapses"), [(0.9, False), (1.0, True)])
def test_the_centre_keeps_one_prototype_from_winning_always(centre_momentum, collapses):
    config = {"batch_norm": True, "momentum": 0.5, "centre_momentum": centre_momentum}
    module = fitted(views(16, small=0), 60, **config)
    targets = sharpened(answers(module.teacher, views(16)[0]), module.centre, 0.04)
    used = float(entropy(targets.mean((0, 1))).exp())  # as many prototypes as this share the slices
    assert (used < 2.0) == collapses
