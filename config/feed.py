"""Settings of catalog feeds."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.group import Group

FeedField = Annotated[
    str,
    Field(
        pattern=r"^(id|version|images|category|title|brand|price|currency|in_stock|group_id|url|trace_id"
        r"|attributes(\.[^\x00-\x1f]{1,128})?)$"
    ),
]


class FeedSettings(Group):
    """Catalog feeds that `catalog.refresh` reads."""

    allowed: tuple[str, ...] = Field(
        (), description="URI prefixes that a feed may start with (a JSON list), ending with /"
    )
    scheduled: str | None = Field(None, description="feed that the schedule refreshes from")
    every_s: float = Field(3600, ge=60, le=30 * 86400, description="period of the scheduled refresh")
    format: Literal["auto", "jsonl", "csv", "parquet"] = Field(
        "auto", description="auto: by the name's ending, else by the first bytes"
    )
    columns: dict[FeedField, str] = Field(
        {}, description='the shop\'s column for a field: {"id": "sku", "attributes.colour": "color"}'
    )
    delimiter: str | None = Field(
        None, pattern=r'^[^"\r\n]$', description="between a CSV's cells; found out where unset"
    )
    separator: str = Field(
        "|",
        min_length=1,
        max_length=8,
        description="between the items of a list in one text: images, categories",
    )
    max_gone: float = Field(
        0.05,
        ge=0,
        le=1,
        description="share of the index's products that a refresh may delete since they left the feed",
    )

    @model_validator(mode="after")
    def _scheduled_is_allowed(self) -> Self:
        if any(not prefix.endswith("/") for prefix in self.allowed):
            raise ValueError(
                "allowed: every prefix must end with /, so that s3://shop/ is not s3://shopping/"
            )
        if self.scheduled and not self.scheduled.startswith(self.allowed):
            raise ValueError("scheduled: must start with one of allowed")
        return self
