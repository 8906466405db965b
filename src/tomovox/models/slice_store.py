"""Must a frozen slice encoder see a volume twice? The vectors of its slices are kept, a file each.

Letters: D slices of a volume, d width of a slice vector.
"""

from hashlib import blake2b
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tomovox.models.slices import SliceEncoder
from tomovox.models.weights import save_tensors
from tomovox.schema import TomovoxError


class SliceStore:
    """The slice vectors of volumes by their paths, in a folder of one encoder and one data root.

    A file is whole or absent, so that a cut call goes on with what is missing.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def __contains__(self, volume: str) -> bool:
        return self._file(volume).is_file()

    @torch.no_grad()
    def make(self, encoder: SliceEncoder, volume: str, voxels: Float[Tensor, "1 D H W"]) -> None:
        """Encode a volume and keep the vectors of all of its slices."""
        cls, _ = encoder(voxels[0].unsqueeze(1), tokens=False)
        save_tensors({"cls": cls}, self._file(volume), {"volume": volume})

    def read(self, volume: str) -> Float[Tensor, "D d"]:
        """Return the vectors of a volume's slices; TomovoxError when they cannot be read."""
        path = self._file(volume)
        try:
            return load_file(path)["cls"]
        except (OSError, SafetensorError, KeyError) as error:
            raise TomovoxError(f"{path}: no slice vectors ({error}); remove the file") from None

    def _file(self, volume: str) -> Path:
        name = blake2b(volume.encode(), digest_size=12).hexdigest()
        return self.folder / name[:2] / f"{name}.safetensors"
