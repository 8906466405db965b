"""Is a training faster when torch.compile has read its networks? A callback to try it.

`tomovox fit ... --trainer.callbacks+=tomovox.models.compiling.CompileParts`, or under
`trainer.callbacks` of a recipe. Weights keep their names, and prediction stays as it is: what a
model answers does not depend on a compiler.
"""

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn

from tomovox.schema import TomovoxError


class CompileParts(Callback):
    """Compile the encoders and the language model when training begins.

    The first steps then take minutes. `dynamic` None lets torch compile again for the second shape
    that it meets and for all sizes after that. `backend` as in torch.compile. Raises TomovoxError
    for a model that has no such parts.
    """

    def __init__(self, backend: str = "inductor", dynamic: bool | None = None) -> None:
        self.backend, self.dynamic = backend, dynamic

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compile in place: parameters and their names stay."""
        for part in compiled_parts(pl_module):
            part.compile(backend=self.backend, dynamic=self.dynamic)


def compiled_parts(model: LightningModule) -> list[nn.Module]:
    """Return the networks of a VolumeLM that a compiler is worth: encoders, language model."""
    encoders, language = getattr(model, "encoders", None), getattr(model, "language", None)
    if encoders is None or language is None:
        raise TomovoxError(
            f"CompileParts compiles the encoders and language model of a VolumeLM, and "
            f"{type(model).__name__} is none; remove it from trainer.callbacks"
        )
    return [getattr(model, name) for name in encoders] + [language.model.get_decoder()]
