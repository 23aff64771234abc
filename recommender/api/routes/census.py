"""A census of the index, a page at a time, for what compares all of it with a feed and a store."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from recommender.api.dependencies import Serving
from recommender.api.filters import Id, as_list
from recommender.api.problems import responses
from recommender.index.protocol import CensusEntry, Status

router = APIRouter(prefix="/v1", tags=["catalog"])
MAX_ENTRIES = 1024
MAX_STATES = 64


class CensusParameters(BaseModel):
    """The parameters of a page of the census."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(MAX_ENTRIES, ge=1, le=MAX_ENTRIES, description="entries a page, at most")
    cursor: UUID | None = Field(None, description="`cursor` of the page before")


class CensusImage(BaseModel):
    """What the index knows of one image."""

    uri: str
    etag: str | None = Field(description="of the bytes that were embedded; null where their store has none")
    row: int | None = Field(description="its row in the product's vectors; null where it has none")
    error: str | None = Field(description="why it could not be embedded, the last time it was looked at")


class CensusItem(BaseModel):
    """One id that events have named."""

    id: str
    status: Status = Field(
        description="`imageless`: no image could be embedded; `stub`: only patches are known; "
        "`deleted`: a tombstone"
    )
    version: int
    digest: str = Field(description="of the document, its version aside; empty where there is none")
    group_id: str | None
    encoder: str = Field(description="fingerprint of the encoder whose rows it holds")
    written_at: int = Field(description="when it was last written, in seconds since 1970")
    images: list[CensusImage]


class CensusList(BaseModel):
    """One page of the census, in a stable order."""

    items: list[CensusItem]
    encoder: str = Field(description="fingerprint of the encoder that the index belongs to")
    total: int | None = Field(description="how many entries there are; on the first page, null on the others")
    cursor: str | None = Field(description="asks for the next page; null on the last")


class StateParameters(BaseModel):
    """The parameters of states."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[list[Id], BeforeValidator(as_list), Field(min_length=1, max_length=MAX_STATES)] = Field(
        description="of a product; repeatable"
    )


class States(BaseModel):
    """What events have said of some products."""

    states: dict[str, str] = Field(
        description="by id; the text that a state is kept as, equal for equal ones"
    )


@router.get("/census/states", responses=responses(400, 401, 503))
def states(parameters: Annotated[StateParameters, Query()], pair: Serving) -> States:
    """What events have said of some products, to tell whether another would say something new."""
    return States(states=pair.index.states(parameters.id))


@router.get("/census", responses=responses(400, 401, 503))
def census(parameters: Annotated[CensusParameters, Query()], pair: Serving) -> CensusList:
    """Everything that the index holds: products, those that can't be found and tombstones too."""
    cursor = str(parameters.cursor) if parameters.cursor else None
    page = pair.index.census(limit=parameters.limit, cursor=cursor)
    return CensusList(
        items=[_item(entry) for entry in page.entries],
        encoder=pair.index.fingerprint,
        total=pair.index.size() if cursor is None else None,
        cursor=page.cursor,
    )


def _item(entry: CensusEntry) -> CensusItem:
    return CensusItem(
        id=entry.id,
        status=entry.status,
        version=entry.version,
        digest=entry.digest,
        group_id=entry.group_id,
        encoder=entry.encoder,
        written_at=entry.written_at,
        images=[
            CensusImage(uri=image.uri, etag=image.etag, row=image.row, error=image.error)
            for image in entry.images
        ],
    )
