"""Every error that Lookalike raises on purpose. What happens next is decided by class.

LookalikeError
├── TransientError             infrastructure; the same request may succeed later: retried
│   ├── ImageStoreUnavailable    S3 or an https host: 5xx, timeout, connection, throttling
│   ├── IndexUnavailable         Qdrant: timeout, connection
│   ├── BrokerUnavailable        Redis: timeout, connection, out of memory
│   ├── PairMissing              a collection that a running swap needs is not open in this process
│   ├── RaceLost                 other writers kept winning the compare-and-swap
│   ├── ProcessLost              the process that had an image to itself ended or hung
│   ├── FeedUnavailable          a feed's https host: 5xx, timeout, connection, a short answer
│   └── FeedChanged              a feed was written to, or lost a part, while it was read
├── PermanentError             the input is wrong; it will fail again: dead letters, at once
│   ├── InvalidEvent             a document or event that breaks the wire format; names the field
│   ├── ImageError               one image; names it
│   │   ├── ImageNotAllowed        its bucket, host or folder is not on the allow-list
│   │   ├── ImageNotFound          404, or access denied
│   │   ├── ImageTooLarge          over the byte or pixel limit
│   │   ├── ImageNotDecodable      not an image, truncated, of an unknown format
│   │   └── ImageLethal            it keeps ending, or wedging, the process that reads it
│   ├── FeedError                a feed that is not allowed, missing, cut short or malformed
│   └── JobStopped               a guard of a catalog job said no: no dead letter, the job says why
├── QueryError                 the question is wrong; the API answers 4xx
│   ├── InvalidQuery             a parameter is out of bounds or undeclared; names it
│   ├── ProductNotFound          no such product
│   ├── ProductNotSearchable     it exists, but none of its images could be embedded
│   └── TextNotSupported         the encoder has no text tower
├── ShuttingDown               asked of a batcher or an index that is closing
├── EncoderLost                the device or its thread is gone: this process must end
└── StartupError               this process must not start
    ├── UnknownEncoder           a name that is not in the registry
    ├── WeightsUnavailable       weights that can't be fetched or read
    ├── RuntimeUnavailable       no runtime that may run the encoder answers what torch answers
    ├── EncoderMismatch          the collection was filled by another encoder
    └── IndexInUse               another process owns the embedded index
"""


class LookalikeError(Exception):
    """The root of the tree above."""


class TransientError(LookalikeError):
    """Infrastructure failed; the same request may succeed later."""


class ImageStoreUnavailable(TransientError):
    """S3 or an https host answered 5xx or not at all."""


class IndexUnavailable(TransientError):
    """The index answered with an error of its own, or not at all."""


class BrokerUnavailable(TransientError):
    """Redis answered with an error of its own, or not at all."""


class PairMissing(TransientError):
    """A pair that a running swap writes messages to is not open in this process; the message says why."""


class RaceLost(TransientError):
    """Other writers kept winning the compare-and-swap on a product."""


class ProcessLost(TransientError):
    """The process that had an image to itself ended, or had to be ended."""


class FeedUnavailable(TransientError):
    """The https host of a feed answered 5xx, not at all, or not to the end."""


class FeedChanged(TransientError):
    """A feed was written to, or lost a part, while it was read; it is to be read from its start."""


class PermanentError(LookalikeError):
    """The input is wrong and will fail again."""


class InvalidEvent(PermanentError):
    """A document or event breaks the wire format; `field` is where, as a dotted path."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field


class ImageError(PermanentError):
    """One image can't be used; `uri` names it."""

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(f"{uri}: {reason}")
        self.uri = uri
        self.reason = reason

    def __reduce__(self) -> tuple[type["ImageError"], tuple[str, str]]:
        """Cross from one process to another whole."""
        return type(self), (self.uri, self.reason)


class ImageNotAllowed(ImageError):
    """The image's bucket, host or folder is not on the allow-list."""


class ImageNotFound(ImageError):
    """There is no such image, or we may not read it."""


class ImageTooLarge(ImageError):
    """The image is over the byte or pixel limit."""


class ImageNotDecodable(ImageError):
    """The bytes are not an image that can be decoded."""


class ImageLethal(ImageError):
    """The image keeps ending, or wedging, the process that reads it."""


class FeedError(PermanentError):
    """A feed is not allowed, missing, cut short or malformed."""


class JobStopped(PermanentError):
    """A guard of a catalog job said no; the message says why and what to do."""


class QueryError(LookalikeError):
    """The question is wrong."""


class InvalidQuery(QueryError):
    """A parameter is out of bounds or undeclared; `parameter` names it."""

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(f"{parameter}: {reason}")
        self.parameter = parameter


class ProductNotFound(QueryError):
    """No such product is in the index."""


class ProductNotSearchable(QueryError):
    """The product exists, but none of its images could be embedded."""


class TextNotSupported(QueryError):
    """The encoder has no text tower."""


class ShuttingDown(LookalikeError):
    """What was asked is closing."""


class EncoderLost(LookalikeError):
    """The device's context is lost, or its thread: nothing will be embedded by this process again."""


class StartupError(LookalikeError):
    """This process must not start; the message says what to do."""


class UnknownEncoder(StartupError):
    """A name that is not in the registry."""


class WeightsUnavailable(StartupError):
    """Weights can't be fetched or read."""


class RuntimeUnavailable(StartupError):
    """No runtime that may run the encoder can be built and answers what torch answers."""


class EncoderMismatch(StartupError):
    """The collection was filled by another encoder."""


class IndexInUse(StartupError):
    """Another process owns the embedded index."""
