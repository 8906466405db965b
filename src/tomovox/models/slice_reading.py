"""How is a study read slice by slice? Every slice by itself, so that a series is encoded once.

Letters: u studies, l slices of a study over all its series (padded to the longest), D slices of a
series, d width of a slice vector.
"""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from tomovox.models.slice_sequence import joined, kept_slices, slice_vectors, tell
from tomovox.models.slices import SliceEncoder
from tomovox.models.zformer import ZFormerConfig
from tomovox.schema import Percept, Studies


class SliceReader:
    """What MS-VLM and the stage that trains its Z-former share: how they perceive a study."""

    by_series = True
    vision2d: SliceEncoder
    zformer_config: ZFormerConfig

    def perceive(self, studies: Studies) -> Percept:
        """Return CLS vectors (u l d), which are "seen", and what is told of places and series."""
        config = self.zformer_config
        kept = kept_slices(studies, config.max_slices, config.max_per_series)
        return tell(slice_vectors(self.vision2d, studies, kept), studies, kept, config.max_series)

    def encode(self, studies: Studies) -> Percept:
        """Return the CLS vectors (1 D d) of all slices of the one series that there is.

        Which of them are read depends on the other series of a study, so it is no part of them.
        """
        (volume,) = studies.voxels
        return Percept({"cls": self.vision2d(volume[0].unsqueeze(1), tokens=False)[0][None]})

    def join(self, series: Sequence[Mapping[str, Tensor]], studies: Studies) -> Percept:
        """Return the percept of studies from what `encode` made of each of their series."""
        return percept_of([each["cls"] for each in series], studies, self.zformer_config)


def percept_of(
    vectors: Sequence[Float[Tensor, "_D d"]], studies: Studies, config: ZFormerConfig
) -> Percept:
    """Return what a Z-former reads of the vectors of all slices of each series.

    Of `studies` only depths and names are read: their volumes may be of no pixels.
    """
    kept = kept_slices(studies, config.max_slices, config.max_per_series)
    read = [each[index.to(each.device)] for each, index in zip(vectors, kept, strict=True)]
    return tell(joined(read, studies), studies, kept, config.max_series)
