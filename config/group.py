"""What every group of settings is."""

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """Frozen, and without room for a name that is none of its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
