"""What an audit can find: in words for a merchandiser, and by which event it is repaired."""

from dataclasses import dataclass
from typing import Literal

from worker.plan import EMBED, PURGE

Event = Literal["products.upsert", "products.delete", "products.embed", "products.purge"]
UPSERT: Event = "products.upsert"
DELETE: Event = "products.delete"


@dataclass(frozen=True, slots=True)
class Kind:
    """One class of findings. `repair` is the event that mends it; None where only people can."""

    name: str
    title: str
    why: str
    what_to_do: str
    repair: Event | None = None


MISSING = Kind(
    "missing",
    "Products that the feed has and the index has not",
    "Shoppers can't find them by looks, and no similar products are shown beside them.",
    "Their events got lost, or never came. A repair publishes them as they are in the feed.",
    UPSERT,
)
STALE = Kind(
    "stale",
    "Products that the index knows in an older state than the feed",
    "Shoppers are shown an old price, an old picture or an old category.",
    "Their latest change did not arrive. A repair publishes them as they are in the feed.",
    UPSERT,
)
WITHHELD = Kind(
    "withheld",
    "Products that the feed has and that were deleted before it was made",
    "The feed offers them, and the index keeps them out: a delete of the same or a later version stands.",
    "If they are for sale, publish them with a higher version; else take them out of the feed.",
)
ORPHANED = Kind(
    "orphaned",
    "Products that the index has and the feed has not",
    "Shoppers may be led to products that the shop no longer has.",
    "Their deletion did not arrive. A repair deletes them at the version that the index has, unless "
    "they are more than LOOKALIKE_FEED__MAX_GONE of all products.",
    DELETE,
)
REFUSED = Kind(
    "refused",
    "Records of the feed that are no valid products",
    "None of them can get into the index.",
    "Mend them where the feed is made; each says what is wrong with it.",
)
UNFINISHED = Kind(
    "unfinished",
    "Ids of which only changes are known",
    "A change came for them (a price, say), but never the product itself: they can't be found.",
    "Publish the whole product, or delete the id.",
)
WRONG_ENCODER = Kind(
    "wrong_encoder",
    "Products that another encoder has embedded",
    "Their looks are compared in the wrong terms: what is shown as similar to them is not.",
    "A collection was copied or filled by hand. A repair embeds them again.",
    EMBED,
)
INVISIBLE = Kind(
    "invisible",
    "Products without a single picture that could be read",
    "They are invisible to visual search: they never appear among similar products.",
    "Mend the pictures by the reasons below and publish the products again; or mend them and repair, "
    "which looks at each once more.",
    EMBED,
)
VANISHED = Kind(
    "vanished",
    "Pictures that are gone from the bucket",
    "The products are still compared by a picture that nobody can see any more; the shop's page shows"
    " a hole.",
    "Upload the pictures again, or publish the products without them. A repair looks for each once "
    "more, and has the products no longer compared by those that are not there.",
    EMBED,
)
REPLACED = Kind(
    "replaced",
    "Pictures that were replaced since they were embedded",
    "The products are compared by how they looked before.",
    "The picture was uploaded under its old name and the product was not published after that. A "
    "repair looks again.",
    EMBED,
)
UNREAD = Kind(
    "unread",
    "Pictures that could not be read, of products that have others",
    "The products are found, but not by these pictures.",
    "Mend the pictures by the reasons below. A repair looks at each once more.",
    EMBED,
)
SHARED = Kind(
    "shared",
    "The same picture on many products",
    "A placeholder, a size chart or a logo makes unlike products look the same: they crowd each "
    "other's answers.",
    "Give each product pictures of its own, and leave out of `images` what shows no product. Variants"
    " of one family (group_id) count once.",
)
ALIKE = Kind(
    "alike",
    "Pictures that can't be told apart on many products",
    "As with the same picture: placeholders, size charts and logos that were saved as several files.",
    "Give each product pictures of its own, and leave out of `images` what shows no product.",
)
OVERDUE = Kind(
    "overdue",
    "Tombstones past their time",
    "What is deleted is remembered so that late events can't bring it back. No event can be that late"
    " any more; they cost memory and nothing else.",
    "A repair forgets them.",
    PURGE,
)

OF_THE_FEED = (MISSING, STALE, WITHHELD, ORPHANED, REFUSED)
OF_BUCKETS = (VANISHED, REPLACED)
OF_THE_INDEX = (UNFINISHED, WRONG_ENCODER, INVISIBLE, UNREAD, SHARED, OVERDUE)
