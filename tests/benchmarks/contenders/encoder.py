"""Our encoder, as the settings load it, with the weights that all sides share."""

from typing import Any

from config.settings import EncoderSettings
from recommender.encoders.load import load_encoder
from recommender.encoders.protocol import Encoder


def load(options: dict[str, Any]) -> Encoder:
    """Options: `encoder`, `weights`, and any other setting of the encoder in `settings`."""
    return load_encoder(
        EncoderSettings(name=options["encoder"], weights=options["weights"], **options.get("settings", {}))
    )
