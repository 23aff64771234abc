from recommender.api.models import product_view, similar_answer
from recommender.catalog import Answer, Match, Product, SimilarItem
from recommender.events import Patch, Upsert
from recommender.index.protocol import IndexedImage, StoredProduct
from recommender.merge import UNKNOWN, merge

DOCUMENT = {
    "id": "sku-123",
    "version": 7,
    "images": ["s3://shop-images/sku-123/front.jpg", {"uri": "s3://shop-images/back.jpg", "role": "back"}],
    "category": "women/shoes/boots",
    "title": "Ankle boot",
    "price": 89.9,
    "attributes": {"colour": "black", "sizes": ["38", "39"]},
}


def test_an_item_has_exactly_the_fields_of_the_wire_format() -> None:
    product = Product.model_validate(DOCUMENT)
    item = SimilarItem(product, 0.91234567, Match("sku-1", 1, 0))
    answer = similar_answer(Answer((item,), "compact-0123456789ab", 1.5))
    assert answer.model_dump(mode="json") == {
        "items": [
            {
                "id": "sku-123",
                "score": 0.912346,
                "category": "women/shoes/boots",
                "title": "Ankle boot",
                "brand": None,
                "price": 89.9,
                "currency": None,
                "in_stock": True,
                "group_id": None,
                "url": None,
                "images": DOCUMENT["images"],
                "attributes": {"colour": "black", "sizes": ["38", "39"]},
                "match": {"asked": "sku-1", "asked_image": 1, "image": 0},
            }
        ],
        "relaxed": [],
        "encoder": "compact-0123456789ab",
        "took_ms": 1.5,
    }


def test_several_categories_are_a_list() -> None:
    product = Product.model_validate({**DOCUMENT, "category": ["women/shoes", "sale"]})
    item = similar_answer(Answer((SimilarItem(product, 1.0, Match(None, None, 0)),), "e", 0)).items[0]
    assert item.category == ["women/shoes", "sale"]


def test_a_product_is_shown_with_its_patches_and_whether_it_can_be_found() -> None:
    state = merge(UNKNOWN, Upsert.model_validate(DOCUMENT))
    state = merge(state, Patch.model_validate({"id": "sku-123", "version": 9, "price": 10.0}))
    unseen = IndexedImage("s3://shop-images/sku-123/front.jpg", error="404")
    view = product_view(StoredProduct("sku-123", 2, state, (unseen,)))
    assert (view.price, view.version, view.searchable) == (10.0, 9, False)
    seen = IndexedImage("s3://shop-images/back.jpg", row=0)
    assert product_view(StoredProduct("sku-123", 2, state, (unseen, seen))).searchable
