"""What this row and the processes that it starts agree on."""

SLOT_S = 4.0
BEGUN, SENT = "scheduled:begun", "scheduled:sent"
"""Lists in the record: scheduled messages as bodies began, and as beats had published them."""
FEED_FOR = "x-chaos-message"
"""A header of every read of a feed: the id of the message that it is made for."""
