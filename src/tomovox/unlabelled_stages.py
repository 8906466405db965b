"""How are the stages trained that read no label? Slice encoders and Z-formers, on slices alone.

Letters: D slices of a series, d width of a slice vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.utils.data import Dataset

from tomovox.data.dataset import without_unreadable
from tomovox.data.sampling import StudySampler
from tomovox.data.series import SeriesFacts, series_facts
from tomovox.data.slice_views import SliceViews
from tomovox.data.study_series import studies_to_read
from tomovox.data.training_loader import TrainingLoader
from tomovox.data.views import ViewsConfig
from tomovox.data.volumes import read_volume
from tomovox.left_out import write_left_out
from tomovox.models.masked_embedding import MaskedEmbedding, MaskingConfig
from tomovox.models.self_distillation import DistillationConfig, SelfDistillation
from tomovox.models.slice_reading import percept_of
from tomovox.models.slice_store import SliceStore
from tomovox.models.slices import SliceEncoderConfig
from tomovox.models.zformer import ZFormerConfig
from tomovox.progress import say
from tomovox.schema import Percept, Record, Studies
from tomovox.stage_fit import check_size, fit_stage, part_config
from tomovox.stage_kinds import MaskedEmbeddingStage, SelfDistillationStage
from tomovox.stage_plan import StageJob


def self_distilled(
    job: StageJob, stage: SelfDistillationStage
) -> tuple[SelfDistillation, dict[str, float]]:
    """Let a slice encoder teach itself; return the training and its figures."""
    encoder = part_config(SliceEncoderConfig, job.part, job.name)
    seed_everything(job.seed, verbose=False)
    views = ViewsConfig(
        large_side=encoder.image,
        small=stage.small_views,
        small_side=encoder.image // 2,
        autocontrast=stage.autocontrast,
        equalize=stage.equalize,
    )
    data = SliceViews(
        job.data["root"],
        views,
        job.data.get("train_split", "train"),
        stage.batch_size,
        stage.slices_per_volume,
        job.seed,
        limit=job.data.get("limit"),
        on_bad_volume=job.data.get("on_bad_volume", "raise"),
    )
    data.setup()
    write_left_out(job.folder, data.left_out, data.checked_splits)
    check_size(len(data), "volumes", job)
    compared = DistillationConfig(
        prototypes=stage.prototypes,
        hidden=256,
        bottleneck=64,
        batch_norm=True,
        prototypes_still=0.0,
        momentum=stage.momentum,
    )
    module = SelfDistillation(
        encoder, compared, stage.lr, weight_decay=(0.01, 0.01), warmup=0.1, floor=0.05
    )
    figures = fit_stage(job, module, data.train_dataloader())
    figures |= {"unlabelled_volumes": len(data), "left_out": len(data.left_out)}
    return module, figures


def masked_embeddings(
    job: StageJob, stage: MaskedEmbeddingStage
) -> tuple[MaskedEmbedding, dict[str, float]]:
    """Teach a Z-former to tell hidden slices; return the training and its figures.

    Every volume is encoded once, before the first step; what was encoded before a cut, or for
    another Z-former, is not encoded again.
    """
    part = dict(job.part)
    encoder = part_config(SliceEncoderConfig, part.pop("vision2d"), "vision2d")
    store = SliceStore(Path(part.pop("vectors")))
    zformer = part_config(ZFormerConfig, part, job.name)
    seed_everything(job.seed, verbose=False)
    root = Path(job.data["root"])
    split, series = job.data.get("train_split", "train"), job.data.get("series", "own")
    records = [[r] for r in studies_to_read(root, split, series)][: job.data.get("limit")]
    left_out: list[tuple[str, str]] = []
    if job.data.get("on_bad_volume") == "list":
        records, left_out = without_unreadable(root, records)
    write_left_out(job.folder, [("train", *each) for each in left_out], ["train"])
    studies = [each[0] for each in records]
    check_size(len(studies), "studies", job)
    volumes = {name: r.id for r in reversed(studies) for name in r.volumes}
    facts = series_facts(root, volumes) if job.data.get("tell_series") else {}
    masking = MaskingConfig(stage.share, stage.span, stage.token, stage.loss)
    module = MaskedEmbedding(encoder, zformer, masking, lr=stage.lr, warmup=0.1, floor=0.05)
    loader = TrainingLoader(
        VectorDataset(store, studies, facts),
        StudySampler(len(studies), job.seed),
        batch_size=stage.batch_size,
        drop_last=True,
        collate_fn=partial(collate_vectors, config=zformer),
    )
    figures = fit_stage(job, module, loader, EncodeOnce(store, root, volumes))
    figures |= {"masked_studies": len(studies), "left_out": len(left_out)}
    return module, figures


class EncodeOnce(Callback):
    """Before the first step, encodes on the trainer's device the volumes that the store lacks."""

    def __init__(self, store: SliceStore, root: Path, volumes: dict[str, str]):
        self.store, self.root, self.volumes = store, root, volumes

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fill the store."""
        assert isinstance(pl_module, MaskedEmbedding)
        missing = [name for name in self.volumes if name not in self.store]
        if missing:
            say(f"slice vectors: {len(missing)} volumes")
        for name in missing:
            voxels = torch.from_numpy(read_volume(self.root, name, self.volumes[name]))
            self.store.make(pl_module.vision2d, name, voxels.to(pl_module.device))


@dataclass(slots=True)
class VectorItem:
    """The vectors (D d) of the slices of each series of a study, and what is told of the series."""

    vectors: list[Tensor]
    told: list[SeriesFacts]


class VectorDataset(Dataset[VectorItem]):
    """Studies as the stored vectors of their slices; an index is that of a StudySampler."""

    def __init__(self, store: SliceStore, studies: Sequence[Record], facts: dict[str, SeriesFacts]):
        self.store, self.studies, self.facts = store, studies, facts

    def __len__(self) -> int:
        """Number of studies."""
        return len(self.studies)

    def __getitem__(self, index: tuple[int, int]) -> VectorItem:
        """Return the vectors of a study."""
        names = self.studies[index[0]].volumes
        told = [self.facts.get(name, SeriesFacts()) for name in names]
        return VectorItem([self.store.read(name) for name in names], told)


def collate_vectors(items: Sequence[VectorItem], config: ZFormerConfig) -> Percept:
    """Return what a Z-former reads of some studies."""
    vectors = [each for item in items for each in item.vectors]
    told = [facts for item in items for facts in item.told]
    studies = Studies(
        [each.new_empty(1, len(each), 0, 0) for each in vectors],
        torch.tensor([row for row, item in enumerate(items) for _ in item.vectors]),
        plane=[facts.plane for facts in told],
        phase=[facts.phase for facts in told],
        kernel=[facts.kernel for facts in told],
    )
    return percept_of(vectors, studies, config)
