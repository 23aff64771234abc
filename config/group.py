"""What every group of settings is."""

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """Frozen, and a variable that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
