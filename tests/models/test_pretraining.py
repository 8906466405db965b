"""Does encoder pretraining learn from what is labelled, and from nothing else?"""

import pytest
import torch
import torch.nn.functional as F
from tiny_models import vision2d, vision3d

from tomovox.models.pretraining import UNKNOWN, VisionBatch, VisionPretraining
from tomovox.schema import IGNORE

ENCODERS = {"vision3d": vision3d, "vision2d": vision2d}
HEADS, CLASSES = [3, 2], 3


@pytest.fixture(params=sorted(ENCODERS))
def part(request: pytest.FixtureRequest) -> str:
    return request.param


def pretraining(part: str, classes: int = CLASSES, **changes) -> VisionPretraining:
    torch.manual_seed(0)
    module = VisionPretraining(ENCODERS[part](), HEADS, classes, **changes)
    module.log = lambda *a, **k: None
    return module.train()


def labelled(count: int = 4) -> VisionBatch:
    """Return volumes with all answers and a finding each, brighter where the finding lies."""
    voxels = torch.rand(count, 1, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    findings = torch.zeros(count, 8, 16, 16, dtype=torch.uint8)
    for i in range(count):
        findings[i, 2 * (i % 4) : 2 * (i % 4) + 2, 4:8, 4:8] = 1 + i % (CLASSES - 1)
    voxels = voxels + findings[:, None]
    answers = torch.tensor([[i % 3, i % 2] for i in range(count)])
    return VisionBatch(voxels, answers, findings)


def unknown(batch: VisionBatch) -> VisionBatch:
    return VisionBatch(batch.voxels, batch.answers, torch.full_like(batch.findings, UNKNOWN))


def first(batch: VisionBatch, count: int) -> VisionBatch:
    return VisionBatch(batch.voxels[:count], batch.answers[:count], batch.findings[:count])


def test_the_loss_falls_on_one_batch(part):
    module, batch = pretraining(part), labelled()
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss = module.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_volumes_without_masks_give_no_finding_loss(part):
    with_classes, without = pretraining(part), pretraining(part, classes=0)
    without.load_state_dict(with_classes.state_dict(), strict=False)
    batch = unknown(labelled())
    torch.testing.assert_close(
        with_classes.training_step(batch, 0), without.training_step(batch, 0)
    )


def test_a_volume_without_mask_and_answers_adds_nothing(part):
    module, batch = pretraining(part), labelled()
    batch.findings[2:] = UNKNOWN
    batch.answers[2:] = IGNORE
    alone = module.training_step(first(batch, 2), 0)
    torch.testing.assert_close(module.training_step(batch, 0), alone)


def test_findings_add_to_the_loss(part):
    module, batch = pretraining(part), labelled()
    assert module.training_step(batch, 0) > module.training_step(unknown(batch), 0)


def test_a_3d_token_must_say_where_in_its_cell_a_finding_lies():
    torch.manual_seed(0)
    module = VisionPretraining(vision3d(patch=(2, 8, 8)), HEADS, CLASSES)
    tokens, grid, _ = module.see(labelled().voxels)
    left, right = torch.zeros(2, 4, 1, 8, 16, 16)
    left[..., :4], right[..., 4:8] = 1, 1
    assert (F.adaptive_max_pool3d(left, grid) == F.adaptive_max_pool3d(right, grid)).all()
    assert module._part_loss(tokens, grid, left) != module._part_loss(tokens, grid, right)


@pytest.mark.parametrize("case", ["nothing asked", "no finding", "no mask", "neither"])
def test_loss_and_gradients_are_finite(part, case):
    module, batch = pretraining(part), labelled()
    if case in ("nothing asked", "neither"):
        batch.answers.fill_(IGNORE)
    if case in ("no mask", "neither"):
        batch = unknown(batch)
    if case == "no finding":
        batch.findings.zero_()
    loss = module.training_step(batch, 0)
    loss.backward()
    assert torch.isfinite(loss)
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_the_whole_encoder_learns(part):
    module = pretraining(part)
    module.training_step(labelled(), 0).backward()
    still = [k for k, p in module.encoder.named_parameters() if p.grad is None]
    assert not still


def test_a_finding_marks_the_cells_that_it_touches():
    module, batch = pretraining("vision3d"), labelled(1)
    module.cell_head.weight.data.zero_()
    module.cell_head.bias.data.copy_(torch.tensor([9.0, 0.0, 0.0]))
    figures = {}
    module.log = lambda name, value, **_: figures.__setitem__(name, value.item())
    module.training_step(batch, 0)
    # One of 64 cells holds the finding, weighs 8, and is 9 nats off; the other 63 are right.
    expected = 8 * 9.0 / (63 + 8)
    assert figures["train/cells"] == pytest.approx(expected, rel=1e-3)
