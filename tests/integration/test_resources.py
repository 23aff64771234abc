"""What one process owns: built once, closed once, also halfway."""

import pytest

from config.settings import EncoderSettings
from recommender.encoders.protocol import Encoder
from recommender.errors import EncoderMismatch, IndexInUse, ShuttingDown, UnknownEncoder
from recommender.resources import open_resources
from tests.conftest import MakeSettings
from tests.shop import PixelEncoder


def pixels(_: EncoderSettings) -> Encoder:
    return PixelEncoder()


class OtherEncoder(PixelEncoder):
    fingerprint = "pixels-111111111111"


def test_all_of_it_is_closed_once(make_settings: MakeSettings) -> None:
    with open_resources(make_settings(), load=pixels) as resources:
        assert resources.batcher.is_alive
    resources.close()
    assert not resources.batcher.is_alive
    with pytest.raises(ShuttingDown):
        resources.batcher.embed_texts(["late"])
    with open_resources(make_settings(), load=pixels) as again:
        again.index.ping()


def test_what_was_built_is_closed_when_a_later_part_fails(make_settings: MakeSettings) -> None:
    settings = make_settings()

    def broken(_: EncoderSettings) -> Encoder:
        raise UnknownEncoder("no such encoder")

    with pytest.raises(UnknownEncoder):
        open_resources(settings, load=broken)
    open_resources(settings, load=pixels).close()  # nobody holds the index
    with pytest.raises(EncoderMismatch, match="pixels-111111111111"):
        open_resources(settings, load=lambda _: OtherEncoder())
    open_resources(settings, load=pixels).close()


def test_an_index_has_one_owner(make_settings: MakeSettings) -> None:
    settings = make_settings()
    with open_resources(settings, load=pixels), pytest.raises(IndexInUse):
        open_resources(settings, load=pixels)
