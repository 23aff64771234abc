"""What looks like this: a product, several, a photo, a text."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, File, Query

from recommender.api.dependencies import Configured, ProductIdInPath, Serving, no_parameters
from recommender.api.filters import ATTRIBUTE_PARAMETER
from recommender.api.models import BatchAnswer, SimilarAnswer, batch_answer, similar_answer
from recommender.api.parameters import BatchRequest, SimilarParameters, SimilarRequest, UploadForm
from recommender.api.problems import responses
from recommender.errors import ImageTooLarge
from recommender.question import Question

router = APIRouter(prefix="/v1", tags=["similar"])
upload_router = APIRouter(prefix="/v1", tags=["similar"])


@router.get(
    "/products/{product_id:path}/similar",
    responses=responses(400, 401, 404, 409, 503),
    openapi_extra=ATTRIBUTE_PARAMETER,
)
def similar_to_product(
    product_id: ProductIdInPath, parameters: Annotated[SimilarParameters, Query()], pair: Serving
) -> SimilarAnswer:
    """Products that look like this one, best first, itself left out.

    409 says that the product is known, but none of its images could be embedded.
    """
    question = Question(positive=(product_id,), where=parameters.where(), **parameters.rules())
    return similar_answer(pair.recommender.similar(question))


@router.post(
    "/similar",
    responses=responses(400, 401, 403, 404, 409, 413, 422, 503),
    dependencies=[Depends(no_parameters)],
)
def similar_to_several(request: SimilarRequest, pair: Serving) -> SimilarAnswer:
    """Products that look like any of several, like an image by its address, like a text, or a mixture.

    A candidate that looks more like one of `negative` than like the positives is dropped. 422 says
    that the encoder has no text tower, or that the image can't be decoded.
    """
    return similar_answer(pair.recommender.similar(request.question()))


@router.post(
    "/similar/batch",
    responses=responses(400, 401, 413, 503),
    dependencies=[Depends(no_parameters)],
)
def similar_to_many(request: BatchRequest, pair: Serving) -> BatchAnswer:
    """Many questions in one call; what is wrong with one of them is said in its place."""
    started = time.perf_counter()
    questions = [question.question() for question in request.questions]
    answers = pair.recommender.similar_many(questions)
    took_ms = round((time.perf_counter() - started) * 1000, 2)
    return batch_answer(answers, encoder=pair.fingerprint, took_ms=took_ms)


@upload_router.post(
    "/similar/image",
    responses=responses(400, 401, 404, 409, 413, 422, 503),
    dependencies=[Depends(no_parameters)],
)
def similar_to_photo(
    form: Annotated[UploadForm, File()], pair: Serving, settings: Configured
) -> SimilarAnswer:
    """Products that look like an uploaded photo, products and a text mixed in; everything is a form field.

    413 comes while the upload still runs. 422 says that it is not an image we can decode.
    """
    limit = settings.api.max_upload_bytes
    photo = form.file.file.read(limit + 1)
    if len(photo) > limit:
        raise ImageTooLarge("the uploaded image", f"is larger than {limit} bytes")
    return similar_answer(pair.recommender.similar(form.question(photo)))
