"""The whole API under schemathesis, which asks what fits the description and what doesn't."""

import re
import subprocess
import sys
from pathlib import Path

from tests.shop import filled_shop, served

KEY = "first"
EXCLUDED = (
    # A question may be wrong in ways that a schema can't say, like price_min > price_max.
    "positive_data_acceptance",
    # JSON is read as leniently as forms are: "1" and true are numbers.
    "negative_data_rejection",
)


def test_the_api_keeps_to_its_description_whatever_it_is_asked(s3_endpoint: str, tmp_path: Path) -> None:
    with filled_shop(s3_endpoint, tmp_path, api={"keys": [KEY]}) as shop, served(shop) as api:
        operations = sum(map(len, api.get("/openapi.json").json()["paths"].values()))
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{api.base_url}/openapi.json"),
            *("--header", f"X-API-Key: {KEY}", "--exclude-checks", ",".join(EXCLUDED)),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "12", "--seed", "1", "--no-shrink"),
            *("--continue-on-failure", "--warnings", "off"),
        ]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603
    assert run.returncode == 0, run.stdout + run.stderr
    tested = re.search(r"Tested: (\d+)", run.stdout)
    assert tested, run.stdout
    assert int(tested[1]) == operations
