import pytest

from config.redis_address import Address, read_address
from config.settings import ConfigurationError, RedisSettings


@pytest.mark.parametrize(
    ("url", "address", "kombu"),
    [
        ("redis://shop", Address((("shop", 6379),)), "redis://shop:6379/0"),
        ("redis://[::1]:7000/2", Address((("::1", 7000),), 2), "redis://[::1]:7000/2"),
        (
            "redis://u%40x:p%2Fw@shop:1/3",
            Address((("shop", 1),), 3, "u@x", "p/w"),
            "redis://u%40x:p%2Fw@shop:1/3",
        ),
        (
            "redis://:secret@shop",
            Address((("shop", 6379),), 0, None, "secret"),
            "redis://:secret@shop:6379/0",
        ),
        (
            "rediss://shop",
            Address((("shop", 6379),), tls={"ssl_cert_reqs": "required", "ssl_check_hostname": True}),
            "redis://shop:6379/0",
        ),
        (
            "rediss://shop?ssl_ca_certs=/ca.pem&ssl_cert_reqs=CERT_NONE&ssl_check_hostname=False",
            Address(
                (("shop", 6379),),
                tls={"ssl_ca_certs": "/ca.pem", "ssl_cert_reqs": "none", "ssl_check_hostname": False},
            ),
            "redis://shop:6379/0",
        ),
        (
            "sentinel://u:p@a;sentinel://b:7000/1",
            Address((("a", 26379), ("b", 7000)), 1, "u", "p", master="main"),
            "sentinel://u:p@a:26379/1",
        ),
        (
            "sentinel://a?ssl_ca_certs=/ca.pem",
            Address(
                (("a", 26379),),
                tls={"ssl_ca_certs": "/ca.pem", "ssl_cert_reqs": "required", "ssl_check_hostname": True},
                master="main",
            ),
            "sentinel://a:26379/0",
        ),
    ],
)
def test_a_url_is_read_and_said_as_kombu_reads_it(url: str, address: Address, kombu: str) -> None:
    read = read_address(RedisSettings(url=url, sentinel_master="main"))
    assert read == address
    assert read.url == kombu


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (None, "REDIS__URL is not set"),
        ("unix:///run/redis.sock", "must be redis://"),
        ("redis://a;redis://b", "must be redis://"),
        ("sentinel://a;redis://b", "must be redis://"),
        ("sentinel://a/1;sentinel://b/2", "the same database"),
        ("sentinel://u:p@a;sentinel://u:q@b", "the same password"),
        ("redis://a:port", "Port could not be cast"),
        ("redis://a/first", "is a number"),
        ("redis://a?ssl_cert_reqs=required", "need rediss://"),
        ("rediss://a?ssl_cert_reqs=maybe", "required, optional, none"),
        ("rediss://a?ssl=true", "unknown options ssl"),
    ],
)
def test_what_can_not_be_understood_is_said(url: str | None, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_address(RedisSettings(url=url, sentinel_master="main"))


def test_sentinels_need_the_name_of_their_master() -> None:
    with pytest.raises(ConfigurationError, match="SENTINEL_MASTER"):
        read_address(RedisSettings(url="sentinel://a:26379"))


def test_a_password_is_not_said() -> None:
    assert "hunter2" not in repr(read_address(RedisSettings(url="redis://:hunter2@a")))
