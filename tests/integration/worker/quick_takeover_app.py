"""`celery -A tests.integration.worker.quick_takeover_app worker`: the shipped app, in smaller bites.

What a killed worker had in hand is taken over within seconds, and a swap's backfill goes in messages of one
product. To import this configures the app.
"""

from worker.celery import app
from worker.swap import backfilling

app.conf.broker_transport_options = {
    **app.conf.broker_transport_options,
    "visibility_timeout": 3,
    "unacked_restore_interval": 1,
}
backfilling.MESSAGE_PRODUCTS = 1
backfilling.PAGE = 4
