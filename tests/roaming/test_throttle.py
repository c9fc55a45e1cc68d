"""Request limits: exact, shared when Redis answers, and never a lock-out when it does not."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.test import Client

from config import embedded
from ocpi.headers import authorization
from roaming import throttle
from roaming.throttle import LocalBuckets, Rate, SharedBuckets, seconds_to_wait
from tests.factories import OwnPartyFactory, PartyFactory, connect


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory) -> Iterator[str]:
    process, url = embedded.start_redis(tmp_path_factory.mktemp("redis"))
    yield url
    process.terminate()
    process.wait(10)


@pytest.fixture(params=["local", "shared"])
def buckets(request):
    if request.param == "local":
        return LocalBuckets()
    return SharedBuckets(request.getfixturevalue("redis_url"))


def test_a_burst_and_then_the_rate(buckets):
    """Ten at once, then one per 0.2 s."""
    rate, key = Rate(5, 10), f"burst-{time.time()}"
    waits = [buckets.take(key, rate) for _ in range(11)]
    assert waits[:10] == [0.0] * 10
    assert 0.1 < waits[10] <= 0.2
    time.sleep(waits[10])
    assert [buckets.take(key, rate) > 0 for _ in range(2)] == [False, True]


def test_keys_do_not_share(buckets):
    rate, key = Rate(0.1, 1), f"keys-{time.time()}"
    assert [buckets.take(f"{key}-{each}", rate) for each in "ab"] == [0.0, 0.0]
    assert buckets.take(f"{key}-a", rate) > 5


def test_a_refusal_costs_nothing(buckets):
    """Who asks too often does not wait longer for it."""
    rate, key = Rate(10, 1), f"free-{time.time()}"
    buckets.take(key, rate)
    for _ in range(50):
        assert buckets.take(key, rate) <= 0.1
    time.sleep(0.11)
    assert buckets.take(key, rate) == 0.0


def test_twenty_at_the_same_moment(buckets):
    """Exactly the burst gets through."""
    rate, key, waits = Rate(0.01, 7), f"race-{time.time()}", []
    threads = [threading.Thread(target=lambda: waits.append(buckets.take(key, rate))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wait == 0.0 for wait in waits) == 7


def test_workers_count_together(redis_url):
    """Two processes share one bucket in Redis."""
    one, other, rate, key = (
        SharedBuckets(redis_url),
        SharedBuckets(redis_url),
        Rate(0.01, 4),
        f"two-{time.time()}",
    )
    assert [buckets.take(key, rate) > 0 for buckets in (one, other) * 3] == [False] * 4 + [True] * 2


def test_workers_take_handfuls(redis_url):
    """Together they never get more than the burst, whatever each of them holds in hand."""
    workers = [SharedBuckets(redis_url) for _ in range(3)]
    rate, key = Rate(0.001, 100), f"handful-{time.time()}"
    waits = [workers[number % 3].take(key, rate) for number in range(120)]
    assert sum(wait == 0.0 for wait in waits) == 100
    assert waits[:80] == [0.0] * 80


def test_without_redis_each_worker_counts_for_itself(settings, caplog):
    """It fails open, is not asked again for a while, and says so once."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    rate = Rate(0.01, 2)
    assert [seconds_to_wait("alone", rate) > 0 for _ in range(4)] == [False, False, True, True]
    assert caplog.text.count("throttle.redis_unreachable") == 1


def test_memory_is_bounded(monkeypatch):
    """Buckets that are full again are forgotten."""
    monkeypatch.setattr(throttle, "MAX_LOCAL_BUCKETS", 100)
    buckets = LocalBuckets()
    for number in range(1000):
        buckets.take(f"address-{number}", Rate(1_000_000, 1))
    assert len(buckets.full_at) <= 100


@pytest.mark.django_db
class TestOverHttp:
    VERSIONS, CREDENTIALS = "/ocpi/versions", "/ocpi/2.2.1/credentials"

    @pytest.fixture
    def token(self):
        OwnPartyFactory()
        return connect(PartyFactory(country_code="NL", party_id="EMS", platform__max_requests_per_second=1))

    def ask(self, path, token, address="198.51.100.7", **extra):
        headers = {"Authorization": authorization(token)}
        return Client(REMOTE_ADDR=address).get(path, headers=headers, **extra)

    def test_guessing_is_slowed_down_for_its_address_only(self, token, settings):
        """T4: 20 wrong tokens a minute are answered 401, then 429; a valid partner from there is served."""
        statuses = [self.ask(self.VERSIONS, f"guess-{number}").status_code for number in range(22)]
        assert statuses == [401] * 20 + [429] * 2
        assert int(self.ask(self.VERSIONS, "guess")["Retry-After"]) in (1, 2, 3)
        assert self.ask(self.VERSIONS, token).status_code == 200
        assert self.ask(self.VERSIONS, "guess", address="203.0.113.9").status_code == 401

    def test_no_token_is_no_guess(self, token):
        """AUT-05: always 401."""
        client = Client(REMOTE_ADDR="198.51.100.7")
        assert {client.get(self.VERSIONS).status_code for _ in range(30)} == {401}

    def test_the_address_is_what_our_proxy_saw(self, token, settings):
        """T4: an entry of X-Forwarded-For that the caller wrote itself counts for nothing."""
        settings.TRUSTED_PROXY_HOPS = 1
        for number in range(20):
            self.ask(self.VERSIONS, "guess", HTTP_X_FORWARDED_FOR=f"10.0.0.{number}, 203.0.113.9")
        same = self.ask(self.VERSIONS, "guess", HTTP_X_FORWARDED_FOR="203.0.113.9")
        other = self.ask(self.VERSIONS, "guess", HTTP_X_FORWARDED_FOR="203.0.113.10")
        assert (same.status_code, other.status_code) == (429, 401)

    def test_partners_have_limits_of_their_own(self, token):
        """S7: one partner's flood is answered 429, another one's call is served."""
        other = connect(PartyFactory(country_code="DE", party_id="FRE", platform__max_requests_per_second=1))
        statuses = [self.ask(self.CREDENTIALS, token).status_code for _ in range(31)]
        assert statuses == [200] * 30 + [429]
        assert self.ask(self.CREDENTIALS, other).status_code == 200
        assert self.ask(self.VERSIONS, token).status_code == 200
