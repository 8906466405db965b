"""Does a mask head learn to draw what a class looks like, each volume embedded once?"""

import torch

from tomovox.models.mask_pretraining import MaskBatch, MaskPretraining
from tomovox.models.segmentation import SegVolConfig
from tomovox.models.vit3d import ViT3DConfig

SHAPE = (4, 16, 16)


def module() -> MaskPretraining:
    torch.manual_seed(0)
    encoder = ViT3DConfig(SHAPE, (2, 4, 4), width=16, layers=1, heads=2, mlp=16)
    made = MaskPretraining(SegVolConfig(encoder, heads=2, mlp=16), classes=2)
    made.log = lambda *args, **options: None
    return made


def batch() -> MaskBatch:
    """Class 0 is the bright half of a volume, class 1 the dark one."""
    left = torch.zeros(2, 1, *SHAPE)
    left[0, ..., :8], left[1, ..., 8:] = 1.0, 1.0
    bright = left.bool()
    return MaskBatch(
        left,
        torch.tensor([0, 0, 1, 1]),
        torch.tensor([0, 1, 0, 1]),
        torch.stack([bright[0], ~bright[0], bright[1], ~bright[1]]),
    )


def test_it_learns_to_draw_the_class_that_is_asked_for():
    made, asked = module(), batch()
    optimizer = torch.optim.AdamW(made.parameters(), lr=5e-3)
    for _ in range(150):
        loss = made.training_step(asked, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        seen = made.mask_head.embed_volumes(asked.voxels)[asked.study]
        drawn = made.mask_head.decode(seen, made.prompts(asked.classes)) > 0
    assert (drawn == asked.masks).float().mean() > 0.9


def test_a_volume_is_embedded_once_for_all_its_masks():
    made, asked, seen = module(), batch(), []
    embed = made.mask_head.embed_volumes
    made.mask_head.embed_volumes = lambda volume: seen.append(len(volume)) or embed(volume)
    made.training_step(asked, 0)
    assert seen == [2]
