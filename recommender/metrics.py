"""Every Prometheus metric, declared once; names start with lookalike_."""

from prometheus_client import Counter, Gauge, Histogram

# The worker
EVENTS = Counter("lookalike_events_total", "Product events by what became of them", ["outcome"])
STAGE_SECONDS = Histogram("lookalike_batch_stage_seconds", "What one stage of a batch took", ["stage"])
IMAGES_EMBEDDED = Counter("lookalike_images_embedded_total", "Images that were embedded for the index")
IMAGES_FAILED = Counter("lookalike_images_failed_total", "Images that failed for good")
DUPLICATES_FOUND = Counter(
    "lookalike_duplicates_found_total", "Products that were flagged as duplicates when their photos came"
)
BACKFILLED = Counter(
    "lookalike_backfilled_total", "Products of a model swap's backfill by what became of them", ["outcome"]
)
RACES_LOST = Counter("lookalike_races_lost_total", "Compare-and-swap writes that another writer won")
DEAD_LETTERS = Counter(
    "lookalike_dead_letters_total", "Dead letters by the class of their reason", ["reason"]
)
DEAD_LETTERS_KEPT = Gauge("lookalike_dead_letters_kept", "Dead letters kept, as of the latest arrival")
PUBLISHED_AGAIN = Counter("lookalike_published_again_total", "Messages tried again, by cause", ["cause"])
BREAKER_OPEN = Gauge("lookalike_breaker_open", "1 while a dependency is away", ["dependency"])
PROCESSES_LOST = Counter(
    "lookalike_processes_lost_total", "Processes that an image in quarantine ended or hung"
)
JOBS_RUNNING = Gauge("lookalike_jobs_running", "Catalog jobs that run, of all workers; NaN: Redis is away")
JOBS_ENDED = Counter("lookalike_jobs_ended_total", "Catalog jobs by how they ended", ["type", "state"])
JOB_PRODUCTS = Counter(
    "lookalike_job_products_total", "Products that catalog jobs were done with", ["type", "phase"]
)
STREAM_FORWARDED = Counter("lookalike_stream_forwarded_total", "Stream entries handed to Celery", ["type"])

# The queries and the API
QUERY_SECONDS = Histogram("lookalike_query_seconds", "What one question took, embedding and search included")
SEARCHES = Counter("lookalike_index_searches_total", "Searches of the index by strategy", ["strategy"])
RECALL = Histogram(
    "lookalike_query_recall",
    "recall@10 of sampled live searches against their exact repetition, by the filter's conditions",
    ["filter"],
    buckets=(0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0),
)
RECALL_DROPPED = Counter(
    "lookalike_query_recall_dropped_total", "Sampled searches that were not repeated, since one still ran"
)
API_SECONDS = Histogram(
    "lookalike_api_request_seconds",
    "What one HTTP request took, by route and answer",
    ["route", "method", "status"],
)
API_IN_HAND = Gauge("lookalike_api_in_hand", "HTTP requests in hand, those that nobody waits for included")
API_REFUSED = Counter(
    "lookalike_api_refused_total",
    "HTTP requests refused for their caller or for want of room or time",
    ["reason"],
)
RATE_LIMIT_SKIPPED = Counter(
    "lookalike_rate_limit_skipped_total", "Requests that nobody counted, since the limiter's Redis was away"
)

# The encoders
PAIR_SERVES = Gauge(
    "lookalike_pair_serves",
    "1 for the pair of collection and encoder that new questions use, 0 for one that is open beside it",
    ["encoder"],
)
ENCODER_INFO = Gauge(
    "lookalike_encoder_info",
    "1 for each encoder that is loaded",
    ["encoder", "device", "runtime", "precision"],
)
ENCODE_BATCH_SIZE = Histogram(
    "lookalike_encode_batch_size",
    "Inputs merged into one call of the encoder",
    ["kind"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
)
ENCODE_SECONDS = Histogram("lookalike_encode_seconds", "What one call of the encoder took", ["kind"])
ENCODE_QUEUE_DEPTH = Gauge("lookalike_encode_queue_depth", "Inputs waiting for the encoder", ["priority"])
