"""`surgeon diagnose --json` is what docs/diagnosis.schema.json says, and the schema has the power to refuse."""

import json
from pathlib import Path

import jsonschema
import pytest

from attention_surgeon.cli.diagnose import document
from attention_surgeon.diagnose import Limits
from attention_surgeon.diagnose.file import diagnose_file

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "diagnosis.schema.json").read_text())
TEXTS = {
    "right": "def attention(Q, K, V):\n    return (Q @ K.mT / Q.shape[-1] ** 0.5).softmax(-1) @ V\n",
    "wrong": "def attention(Q, K, V):\n    return (Q @ K.mT).softmax(-1) @ V\n",
    "unjudged": "raise ValueError('no')\n",
}


@pytest.mark.parametrize("verdict", TEXTS)
def test_every_verdict_is_as_the_schema_says(tmp_path, verdict):
    file = tmp_path / "mine.py"
    file.write_text(TEXTS[verdict])
    found = json.loads(
        json.dumps(document(diagnose_file(f"{file}:attention", "attention", limits=Limits(seconds=120))))
    )
    jsonschema.validate(found, SCHEMA)
    assert found["verdict"] == verdict
    assert set(found) == set(SCHEMA["properties"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found | {"verdict": "good"}, SCHEMA)
