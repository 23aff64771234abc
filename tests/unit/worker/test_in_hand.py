from redis import ConnectionError as RedisConnectionError

from worker.in_hand import Held, InHand


class Books:
    """Records what is written; fails while `away`; knows which bodies have begun."""

    def __init__(self, *begun: str) -> None:
        self.away = False
        self.begun = begun
        self.written: list[tuple[str, str]] = []

    def settle(self, tag: str) -> None:
        self._write("settle", tag)

    def give_back(self, tag: str, held: Held, *, unless_begun: bool) -> bool:
        self._write(f"give back {held.queue}", tag)
        return unless_begun and tag in self.begun

    def _write(self, what: str, tag: str) -> None:
        if self.away:
            raise RedisConnectionError("away")
        self.written.append((what, tag))


def held(queue: str = "products") -> Held:
    return Held({}, queue, 10, 0)


def test_what_is_finished_while_redis_is_away_is_said_later_and_once() -> None:
    books, in_hand = Books(), InHand()
    in_hand.use(books)
    for tag in "ab":
        in_hand.take(tag, held())
    books.away = True
    in_hand.finish("a")
    in_hand.finish("b")
    assert (len(in_hand), in_hand.size_bytes, books.written) == (0, 0, [])
    books.away = False
    in_hand.pay()
    in_hand.pay()
    assert books.written == [("settle", "a"), ("settle", "b")]


def test_only_the_first_attempt_is_made_by_who_acknowledges() -> None:
    attempts = []

    class Away(Books):
        def settle(self, tag: str) -> None:
            attempts.append(tag)
            raise TimeoutError

    in_hand = InHand()
    in_hand.use(Away())
    in_hand.finish("a")
    in_hand.finish("b")
    assert attempts == ["a"]


def test_on_another_connection_what_has_begun_stays_in_hand_and_the_rest_is_given_back() -> None:
    in_hand = InHand()
    in_hand.use(Books())
    in_hand.take("begun", held("bulk"))
    in_hand.take("waiting", held())
    other = Books("begun")
    in_hand.use(other)
    assert other.written == [("give back bulk", "begun"), ("give back products", "waiting")]
    assert (in_hand.tags, in_hand.count("bulk")) == (["begun"], 1)
    in_hand.use(other)
    in_hand.finish("begun")
    assert other.written[2:] == [("settle", "begun")]


def test_a_body_that_ends_between_two_connections_is_finished_on_the_second() -> None:
    first, in_hand = Books(), InHand()
    in_hand.use(first)
    in_hand.take("a", held())
    in_hand.let_go("a")
    assert first.written == [("give back products", "a")]
    in_hand.take("b", held())
    in_hand.leave(first)
    in_hand.let_go("b")
    in_hand.finish("b")
    second = Books()
    in_hand.use(second)
    assert second.written == [("settle", "b")]


def test_what_is_not_held_is_not_given_back() -> None:
    books, in_hand = Books(), InHand()
    in_hand.use(books)
    in_hand.give_back("other's")
    in_hand.let_go("other's")
    in_hand.take("gone", held())
    in_hand.forget(["gone"])
    in_hand.give_back("gone")
    assert books.written == []


def test_what_fails_while_its_letting_go_is_owed_goes_back_to_its_queue() -> None:
    books, in_hand = Books("a"), InHand()
    in_hand.use(books)
    in_hand.take("a", held())
    books.away = True
    in_hand.let_go("a")  # the connection was lost; its body goes on
    in_hand.give_back("a")  # and fails now
    books.away = False
    in_hand.pay()
    assert books.written == [("give back products", "a")]
    assert len(in_hand) == 0
