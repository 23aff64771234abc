"""What it takes to load an encoder again, wherever its collection is served from."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from config.settings import EncoderSettings


@dataclass(frozen=True, slots=True)
class Recipe:
    """Kept with the collection that the encoder fills.

    It says what tells embeddings apart. Device, runtime and batches are each machine's own, and so is which
    of the floating precisions is computed in, since their rows share an index.
    """

    name: str
    """That of the registry."""
    weights: str | None = None
    """A file; None for the registry's own."""
    precision: Literal["floating", "int8"] = "floating"
    calibration: str | None = None
    """A folder of images, which int8 needs."""

    @classmethod
    def of(cls, settings: EncoderSettings) -> Self:
        """The recipe of the encoder that these settings name."""
        is_int8 = settings.precision == "int8"
        return cls(
            name=settings.name,
            weights=None if settings.weights is None else str(Path(settings.weights).absolute()),
            precision="int8" if is_int8 else "floating",
            calibration=str(settings.calibration.absolute()) if is_int8 and settings.calibration else None,
        )

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Self:
        """The inverse of `as_json`."""
        return cls(**said)

    def as_json(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)

    def on(self, machine: EncoderSettings) -> EncoderSettings:
        """What a machine with these settings loads the encoder by.

        Where a path of the recipe isn't on this machine, its own for the same encoder is taken: the
        fingerprint that comes out says whether it holds the same.
        """
        precision = machine.precision if machine.precision != "int8" else "auto"
        weights, calibration = self.weights, self.calibration
        if self.name == machine.name:
            weights = _here(weights, machine.weights)
            own = None if machine.calibration is None else str(machine.calibration)
            calibration = _here(calibration, own)
        return machine.model_copy(
            update={
                "name": self.name,
                "weights": weights,
                "precision": "int8" if self.precision == "int8" else precision,
                "calibration": None if calibration is None else Path(calibration),
            }
        )


def _here(named: str | None, own: str | None) -> str | None:
    return named if named is None or own is None or Path(named).exists() else own
