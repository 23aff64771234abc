from collections import Counter, defaultdict

from recommender.events import Upsert, parse_product_event
from worker.demo.catalog import COLOURS, PATTERNS, make_catalog, make_photos
from worker.demo.families import FAMILIES

CATALOG = make_catalog(640, seed=1)


def test_the_same_seed_gives_the_same_catalog_and_another_another() -> None:
    assert make_catalog(640, seed=1) == CATALOG
    assert make_catalog(640, seed=2) != CATALOG


def test_it_is_as_large_and_as_deep_as_promised() -> None:
    categories = Counter(product.category for product in CATALOG)
    assert len(CATALOG) == len({product.id for product in CATALOG}) == 640
    assert set(categories) == set(FAMILIES)
    assert len(categories) >= 8
    assert min(categories.values()) >= 60
    assert {path.count("/") for path in categories} == {1}
    assert len({path.partition("/")[0] for path in categories}) >= 3


def test_every_product_has_one_to_three_pictures_of_mixed_formats_and_sizes() -> None:
    views = [view for product in CATALOG for view in product.views]
    assert {len(product.views) for product in CATALOG} == {1, 2, 3}
    assert {view.file_format for view in views} == {"JPEG", "PNG", "WEBP"}
    assert {view.background for view in views} == {"plain", "gradient", "noise", "shapes"}
    sides = [side for view in views for side in (view.width_px, view.height_px)]
    assert min(sides) >= 600
    assert max(sides) <= 1200
    assert len({view.key for view in views}) == len(views)


def test_colour_and_pattern_say_nothing_of_the_category() -> None:
    colours, patterns = defaultdict(set), defaultdict(set)
    for product in CATALOG:
        colours[product.category].add(product.colour)
        patterns[product.category].add(product.pattern)
    assert all(found == set(COLOURS) for found in colours.values())
    assert all(found == set(PATTERNS) for found in patterns.values())


def test_a_variant_family_is_one_shape_in_several_colours() -> None:
    families = defaultdict(list)
    for product in CATALOG:
        families[product.group_id].append(product)
    for siblings in families.values():
        assert len({product.shape_seed for product in siblings}) == 1
        assert len({product.category for product in siblings}) == 1
        assert len({product.colour for product in siblings}) == len(siblings) == 2


def test_documents_are_valid_upserts() -> None:
    for product in CATALOG:
        upsert = parse_product_event("products.upsert", product.document("shop", 7))
        assert isinstance(upsert, Upsert)
        assert upsert.version == 7
        assert upsert.category == (product.category,)
        assert upsert.images[0].uri == f"s3://shop/{product.views[0].key}"
        assert upsert.attributes == {"colour": product.colour, "pattern": product.pattern}


def test_photos_show_shapes_of_no_product() -> None:
    photos = make_photos(20, seed=1)
    assert {photo.category for photo in photos} == set(FAMILIES)
    assert not {photo.shape_seed for photo in photos} & {product.shape_seed for product in CATALOG}


def test_titles_read_well() -> None:
    titles = {product.title.partition(" ")[2] for product in CATALOG}
    assert "red watch" in titles
    assert any(title.endswith("mug, striped") for title in titles)
