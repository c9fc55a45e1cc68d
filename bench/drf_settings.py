"""Settings of the usual way: the same database, Django REST Framework as it comes, nothing else in between."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "bench.drf"
# It sets Content-Length.
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}
