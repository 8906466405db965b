"""Which columns have tables of boxes and of masks, and what does each compute exactly?"""

from tomovox.metrics.boxes_agreement import (
    box_answers,
    overlap,
    overlap_m3d,
    overlaps_by,
    parsed,
    refused,
)
from tomovox.metrics.masks import (
    dice_of,
    false_positive,
    overlaps,
    soft_dices,
    surface_dice_1,
    surface_dice_2,
)
from tomovox.metrics.metric import Metric
from tomovox.schema import Task

BOX = (Task.REC,)
MASK = (Task.SEG_SEMANTIC, Task.SEG_REFERRING)

IOU = "avg:record|over:union|unparsed:0|flat:equal-1-else-0|negatives:left-out"
HARD = "avg:record|mask:p>.5|nothing-drawn:0|negatives:left-out"
SURFACE = f"surface:6-neighbours|{HARD}"

PLACE_METRICS: dict[str, Metric] = {
    "iou.m3d": Metric(
        "iou",
        "m3d",
        BOX,
        "avg:record|over:enclosing-box+1e-6|unparsed:-1|negatives:-1",
        "tomovox",
        box_answers,
        overlap_m3d,
        unit="percent",
        headline=True,
    ),
    "iou.standard": Metric(
        "iou", "standard", BOX, IOU, "tomovox", box_answers, overlap, unit="percent", headline=True
    ),
    "acc25.standard": Metric(
        "acc25",
        "standard",
        BOX,
        f"hit:iou>=.25|{IOU}",
        "tomovox",
        box_answers,
        overlaps_by(0.25),
        unit="percent",
        headline=True,
    ),
    "acc50.standard": Metric(
        "acc50",
        "standard",
        BOX,
        f"hit:iou>=.5|{IOU}",
        "tomovox",
        box_answers,
        overlaps_by(0.5),
        unit="percent",
        headline=True,
    ),
    "box_rate.standard": Metric(
        "box_rate",
        "standard",
        BOX,
        "avg:record|rule:a-box-in-the-text|negatives:left-out",
        "tomovox",
        box_answers,
        parsed,
        unit="percent",
        headline=True,
    ),
    "refusal_rate.standard": Metric(
        "refusal_rate",
        "standard",
        BOX,
        "avg:record|rule:no-box-in-the-text|of:negatives",
        "tomovox",
        box_answers,
        refused,
        unit="percent",
        headline=True,
    ),
    "dice.m3d": Metric(
        "dice",
        "m3d",
        MASK,
        "avg:record|mask:probabilities|smooth:denominator+1|empty-true:0",
        "tomovox",
        soft_dices,
        unit="percent",
        headline=True,
    ),
    "dice.standard": Metric(
        "dice", "standard", MASK, HARD, "tomovox", overlaps, dice_of, unit="percent", headline=True
    ),
    "nsd1.standard": Metric(
        "nsd1",
        "standard",
        MASK,
        f"tolerance:1-voxel|{SURFACE}",
        "scipy",
        overlaps,
        surface_dice_1,
        unit="percent",
        headline=True,
    ),
    "nsd2.standard": Metric(
        "nsd2",
        "standard",
        MASK,
        f"tolerance:2-voxels|{SURFACE}",
        "scipy",
        overlaps,
        surface_dice_2,
        unit="percent",
        headline=True,
    ),
    "false_positive_rate.standard": Metric(
        "false_positive_rate",
        "standard",
        MASK,
        "avg:record|mask:p>.5|rule:any-voxel|of:negatives",
        "tomovox",
        overlaps,
        false_positive,
        unit="percent",
        lower_is_better=True,
        headline=True,
    ),
}
"""The metrics of boxes and masks by "name.protocol", in the order of tables."""
