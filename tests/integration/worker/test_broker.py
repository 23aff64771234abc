"""Brokers that are more than a redis-server on loopback: TLS, ACL users, key prefixes, sentinels."""

import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from kombu import Consumer, Queue

from config.settings import PREFIX, Settings
from tests.conftest import redis_executable
from worker.broker import open_redis
from worker.celery import PRODUCTS, configuration
from worker.jobs.dead_letters import DeadLetter, DeadLetters
from worker.transport import SentinelTransport, Transport

WaitFor = Callable[[str, Callable[[], Any]], Any]
PASSWORD = "hunter2"  # noqa: S105


def port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        number: int = listener.getsockname()[1]
        return number


@contextmanager
def server(folder: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A redis-server with these options, in a folder of its own."""
    folder.mkdir()
    command = [redis_executable(), *options, "--dir", str(folder), "--save", ""]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def answers(client: Any) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Set the variables; answers the settings."""

    def name(**variables: str) -> Settings:
        for variable, value in variables.items():
            monkeypatch.setenv(f"{PREFIX}{variable}", value)
        return Settings(_env_file=None)

    return name


@contextmanager
def app() -> Iterator[Celery]:
    """An app with the settings of a worker."""
    with Celery("test", set_as_current=False) as made:
        made.conf.update(configuration(), include=[])
        yield made


def take(made: Celery, *, hold: bool = False) -> Any:
    """One message, delivered; acknowledged unless held."""
    taken: list[Any] = []
    connection = made.connection_for_read()
    channel = connection.channel()
    consumer = Consumer(channel, [Queue(PRODUCTS, routing_key=PRODUCTS)], on_message=taken.append)
    consumer.consume()
    deadline = time.monotonic() + 20
    while not taken and time.monotonic() < deadline:
        try:
            connection.drain_events(timeout=0.2)
        except TimeoutError:
            continue
    assert taken
    if hold:
        return connection, taken[0]
    taken[0].ack()
    connection.close()
    return None, taken[0]


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and server.pem and server.key for 127.0.0.1 that it signed."""
    folder = tmp_path_factory.mktemp("certificates")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis")])
    now = datetime.now(UTC)

    def signed(subject: x509.Name, public: Any, extension: Any) -> bytes:
        builder = x509.CertificateBuilder(ca_name, subject, public, x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
        builder = builder.add_extension(extension, critical=True)
        return builder.sign(ca_key, SHA256()).public_bytes(Encoding.PEM)

    authority = x509.BasicConstraints(ca=True, path_length=0)
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    (folder / "ca.pem").write_bytes(signed(ca_name, ca_key.public_key(), authority))
    (folder / "server.pem").write_bytes(signed(name, key.public_key(), addresses))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.key").write_bytes(private)
    return folder


def test_tls(tmp_path: Path, certificates: Path, broker: Any, wait_for: WaitFor) -> None:
    at = port()
    tls = ["--tls-cert-file", str(certificates / "server.pem"), "--tls-key-file"]
    tls += [str(certificates / "server.key"), "--tls-auth-clients", "no"]
    with server(tmp_path / "redis", "--port", "0", "--tls-port", str(at), *tls) as process:
        url = f"rediss://127.0.0.1:{at}/0?ssl_ca_certs={certificates / 'ca.pem'}"
        settings = broker(REDIS__URL=url)
        with open_redis(settings.redis) as client, app() as made:
            wait_for("Redis answers", lambda: answers(client) or process.poll() is not None)
            if process.poll() is not None and "'tls-port" in (tmp_path / "redis" / "log").read_text():
                pytest.skip("this redis-server was built without TLS")
            made.send_task("products.upsert", args=[[]])
            _, message = take(made)
            assert message.headers["task"] == "products.upsert"
            assert client.exists("unacked", "unacked_index", PRODUCTS) == 0


def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, certificates: Path, broker: Any, wait_for: WaitFor
) -> None:
    at = port()
    tls = ["--tls-cert-file", str(certificates / "server.pem"), "--tls-key-file"]
    tls += [str(certificates / "server.key"), "--tls-auth-clients", "no"]
    with server(tmp_path / "redis", "--port", "0", "--tls-port", str(at), *tls) as process:
        trusting = redis.Redis(port=at, ssl=True, ssl_cert_reqs="none", ssl_check_hostname=False)
        with trusting:
            wait_for("Redis answers", lambda: answers(trusting) or process.poll() is not None)
        if process.poll() is not None:
            pytest.skip("this redis-server was built without TLS")
        settings = broker(REDIS__URL=f"rediss://127.0.0.1:{at}/0")
        with open_redis(settings.redis) as client, pytest.raises(redis.ConnectionError, match="CERTIFICATE"):
            client.ping()
        with app() as made, pytest.raises((redis.ConnectionError, ssl.SSLError), match="CERTIFICATE"):
            made.connection_for_read().connect()


# ACL users, with the rules that docs/deploy.md names


def documented_rules() -> list[str]:
    page = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text()
    (rules,) = re.findall(r"ACL SETUSER lookalike (.*?)```", page, re.DOTALL)
    return str(rules).replace("\\\n", " ").split()


@pytest.fixture
def restricted(redis_server: Any) -> str:
    """The URL of a user who may do what the documentation says."""
    with redis.Redis.from_url(redis_server.url) as client:
        rules = [f">{PASSWORD}" if rule.startswith(">") else rule for rule in documented_rules()]
        client.execute_command("ACL", "SETUSER", "lookalike", *rules)
        client.execute_command("ACL", "LOG", "RESET")
    return str(redis_server.url).replace("redis://", f"redis://lookalike:{PASSWORD}@")


def denied(client: Any) -> list[Any]:
    """What a user may not do and tried; but for celery's heartbeats and the client library's name.

    Which servers log that name under which word differs between Redis 6.2, 7.0 and 7.2.
    """
    needless = {"publish", "client", "client|setinfo"}
    return [entry for entry in client.execute_command("ACL", "LOG") if entry["object"] not in needless]


def test_a_worker_needs_the_documented_rights(
    start_worker: Any,
    restricted: str,
    redis_server: Any,
    s3: Any,
    document: Any,
    photo: Any,
    wait_for: WaitFor,
) -> None:
    uri = s3.put("a.jpg", photo(1))
    shop = start_worker(REDIS__URL=restricted, WORKER__ALL_IN_ONE="true")
    shop.send("products.upsert", [document("a", uri)])
    shop.wait_for_product("a")
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        client.lpush("products", "garbage")
        client.xadd("lookalike:events", {"type": "products.upsert", "data": "{}"})
        wait_for("two dead letters", lambda: client.xlen("lookalike:dead-letters") == 2)
        assert shop.stop() == 0
        assert denied(client) == [], shop.said()


def test_consumers_and_dead_letters_need_the_documented_rights(
    restricted: str, redis_server: Any, broker: Any
) -> None:
    settings = broker(REDIS__URL=restricted)
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client, app() as made:
        client.hset("unacked", "left", "garbage")
        client.zadd("unacked_index", {"left": 1})
        made.conf.broker_transport_options |= {"visibility_timeout": 1, "unacked_restore_interval": 0.1}
        made.send_task("products.upsert", args=[[]])
        connection, message = take(made, hold=True)
        while client.exists("lookalike:dead-letters") == 0:
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.2)
        message.reject(requeue=True)
        connection.close()
        take(made)
        with open_redis(settings.redis) as own:
            letters = DeadLetters(own, "lookalike")
            letters.add([DeadLetter("", "x", "Test", "")])
            assert letters.drop([letter.id for letter in letters.all()]) == 2
        assert denied(client) == []


# A prefix of all keys


def test_a_key_prefix_keeps_two_shops_in_one_database_apart(redis_server: Any, broker: Any) -> None:
    broker(REDIS__URL=redis_server.url, REDIS__KEY_PREFIX="one:")
    with app() as one:
        one.send_task("products.upsert", args=[["one"]])
        broker(REDIS__KEY_PREFIX="two:")
        with app() as two:
            two.send_task("products.upsert", args=[["two"]])
            _, message = take(two)
        assert message.payload[0] == [["two"]]
        _, message = take(one)
    assert message.payload[0] == [["one"]]
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        assert all(key.startswith(("one:_kombu", "two:_kombu")) for key in client.scan_iter("*"))


# Sentinels


@pytest.fixture
def sentinels(tmp_path: Path, wait_for: WaitFor) -> Iterator[dict[str, Any]]:
    """A master with a replica, and a sentinel that watches them."""
    master_port, replica_port, sentinel_port = port(), port(), port()
    local = ["--bind", "127.0.0.1", "--appendonly", "yes"]
    watch = [f"sentinel monitor shop 127.0.0.1 {master_port} 1", "sentinel down-after-milliseconds shop 1000"]
    watch += ["sentinel failover-timeout shop 4000"]
    config = tmp_path / "sentinel.conf"
    config.write_text("\n".join([f"port {sentinel_port}", "bind 127.0.0.1", *watch]))
    follow = ["--replicaof", "127.0.0.1", str(master_port), "--repl-diskless-sync-delay", "0"]
    with (
        server(tmp_path / "master", "--port", str(master_port), *local) as master,
        server(tmp_path / "replica", "--port", str(replica_port), *local, *follow),
        redis.Redis(port=master_port) as at_master,
        redis.Redis(port=sentinel_port, decode_responses=True) as sentinel,
    ):
        wait_for("the replica follows", lambda: answers(at_master) and at_master.wait(1, 100) == 1)
        with server(tmp_path / "sentinel", str(config), "--sentinel"):
            wait_for("the sentinel answers", lambda: answers(sentinel))
            wait_for("it knows the replica", lambda: sentinel.sentinel_slaves("shop"))
            yield {"master": master, "at_master": at_master, "port": sentinel_port, "sentinel": sentinel}


def test_a_failover_loses_nothing(sentinels: dict[str, Any], broker: Any, wait_for: WaitFor) -> None:
    nobody = port()
    settings = broker(
        REDIS__URL=f"sentinel://127.0.0.1:{nobody};sentinel://127.0.0.1:{sentinels['port']}/0",
        REDIS__SENTINEL_MASTER="shop",
    )
    with app() as made, open_redis(settings.redis) as client:
        for name in ("in hand", "queued"):
            made.send_task("products.upsert", args=[[name]])
        connection, held = take(made, hold=True)
        assert isinstance(connection.transport, SentinelTransport)
        assert isinstance(connection.transport, Transport)
        assert client.hkeys("unacked") == [held.delivery_tag]
        assert sentinels["at_master"].wait(1, 5000) == 1
        before = client.connection_pool.get_master_address()
        sentinels["master"].kill()
        wait_for("a new master", lambda: _master(client) not in {None, before} and answers(client))
        held.ack()  # claimed from the master that is gone
        _, queued = take(made)
        assert (held.payload[0], queued.payload[0]) == ([["in hand"]], [["queued"]])
        assert client.exists("unacked", "unacked_index", PRODUCTS) == 0
        connection.close()


def _master(client: Any) -> Any:
    try:
        return client.connection_pool.get_master_address()
    except redis.ConnectionError:
        return None
