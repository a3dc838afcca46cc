"""SARIF is checked by classes that are generated from the published schema of SARIF 2.1.0 (pydantic-sarif)."""

import pydantic
import pytest
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Log

from attention_surgeon.diagnose import Limits
from attention_surgeon.diagnose.file import diagnose_file
from attention_surgeon.repair.sarif import annotation, sarif_log


@pytest.fixture
def found(tmp_path, monkeypatch):
    (tmp_path / "my file.py").write_text("\n\ndef attention(Q, K, V):\n    return (Q @ K.mT).softmax(-1) @ V\n")
    monkeypatch.chdir(tmp_path)
    return diagnose_file("my file.py:attention", "attention", limits=Limits(seconds=120))


def test_the_log_is_as_the_schema_says(found):
    log = sarif_log([found])
    Log.model_validate(log)
    result = log["runs"][0]["results"][0]
    place = result["locations"][0]["physicalLocation"]
    assert (result["ruleId"], place["artifactLocation"]["uri"]) == ("scale_missing", "my%20file.py")
    assert place["region"]["startLine"] == 4


def test_the_schema_would_refuse_another_log(found):
    log = sarif_log([found])
    log["runs"][0]["results"][0]["lines"] = [3]
    with pytest.raises(pydantic.ValidationError, match="Extra inputs are not permitted"):
        Log.model_validate(log)


def test_what_is_right_has_no_results(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def attention(Q, K, V):\n    return (Q @ K.mT / Q.shape[-1] ** 0.5).softmax(-1) @ V\n")
    log = sarif_log([diagnose_file(f"{file}:attention", "attention", limits=Limits(seconds=120))])
    Log.model_validate(log)
    assert log["runs"][0]["results"] == []


def test_the_line_for_github(found):
    assert annotation(found).startswith("::error file=my file.py,line=4,title=attention-surgeon::scale_missing: ")
    assert "\n" not in annotation(found)
