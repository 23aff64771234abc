from hypothesis import given
from hypothesis import strategies as st

from worker.refresh.folders import common_folders, folder_of

NAMES = st.text("abé", max_size=2)
FOLDERS = st.lists(NAMES, min_size=1, max_size=5).map(lambda levels: "b" + "/".join(levels) + "/")


def test_a_folder_is_the_bucket_and_all_but_the_name() -> None:
    assert folder_of("s3://shop/a/b/c.jpg") == "shop/a/b/"
    assert folder_of("s3://shop/c.jpg") == "shop/"


def test_a_folder_a_product_is_listed_as_the_one_above() -> None:
    folders = [f"shop/img/{number}/" for number in range(1000)]
    assert common_folders([*folders, "shop/logos/"]) == ["shop/img/", "shop/logos/"]


def test_buckets_stay_apart_however_many() -> None:
    folders = [f"shop-{number}/img/" for number in range(5)]
    assert common_folders(folders, most=2) == [f"shop-{number}/" for number in range(5)]


@given(st.lists(FOLDERS, max_size=40), st.integers(1, 8))
def test_all_are_covered_once_by_few(folders: list[str], most: int) -> None:
    kept = common_folders(folders, most)
    assert all(sum(folder.startswith(one) for one in kept) == 1 for folder in folders)
    assert not any(one != other and one.startswith(other) for one in kept for other in kept)
    assert len(kept) <= max(most, len({folder.partition("/")[0] for folder in folders}))
    assert common_folders(kept, most) == kept
