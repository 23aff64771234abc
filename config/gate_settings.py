"""What another encoder has to show before it may serve."""

from typing import Annotated

from pydantic import Field

from config.group import Group

Share = Annotated[float, Field(ge=0, le=1)]


class GateSettings(Group):
    """What a new collection has to show before a model swap lets it serve; docs/evaluation.md."""

    products: int = Field(
        2000, ge=20, le=20_000, description="products of the shop that old and new are compared on, at most"
    )
    questions: int = Field(1000, ge=20, le=20_000, description="questions about them, at most")
    max_missing: Share = Field(
        0.01, description="share of searchable products and images that the new collection may lack"
    )
    min_placed: Share = Field(
        0.95, description="share of images, embedded again, that must give the row which the new one holds"
    )
    min_overlap: Share = Field(
        0.1, description="least share of ten neighbours that stay, beyond chance: 0 is chance, 1 all of them"
    )
    min_overlap_alone: Share = Field(
        0.45, description="the same where quality, or the places of rows, could not be measured"
    )
    max_quality_loss: Share = Field(
        0.05, description="nDCG@10 that may be lost, at the lower bound of its 95% interval"
    )
    min_recall: Share = Field(0.95, description="least recall@10 under filters of the new collection")
    max_slowdown: float = Field(
        3,
        ge=1,
        le=1000,
        description="how many times as long as before a search may take, if it takes more than 10 ms",
    )
    max_photo_ms: float = Field(
        2000, gt=0, le=600_000, description="longest median of a question by photo, in milliseconds"
    )
