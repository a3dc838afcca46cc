import re

import pytest

from attention_surgeon.experiments import EXPERIMENTS, Result
from attention_surgeon.experiments.claims import LEDGER, Claim, claims_table
from attention_surgeon.experiments.claims import claim as claims
from attention_surgeon.experiments.claims.on_masks import nan_to_zero, reverse_cheats, zero_leaks
from attention_surgeon.experiments.claims.on_scaling import table_row
from attention_surgeon.experiments.claims.on_structure import horizontal_lines, rank_is_kept


def result(*rows: dict, **tables: tuple[dict, ...]) -> Result:
    return Result("made up", {}, rows, "", tables)


def test_every_claim_names_an_experiment_or_says_why_none_decides():
    names = {experiment.name for experiment in EXPERIMENTS}
    for claim in LEDGER:
        assert (claim.experiment in names and claim.judge is not None) != bool(claim.why)
    assert len({(claim.unit, claim.said) for claim in LEDGER}) == len(LEDGER) > 60
    assert len({claim.unit for claim in LEDGER}) == 5
    assert {claim.experiment for claim in LEDGER} - {None} == names - {"fault"}  # no seed says what a bug will do


@pytest.mark.parametrize(
    ("with_it", "without", "status"),
    [(True, True, "holds"), (True, False, "holds only if"), (False, False, "does not hold")],
)
def test_a_condition_counts_only_where_it_makes_the_difference(with_it: bool, without: bool, status: str):
    judgement = claims.holds_if(with_it, without, "it rains", "3 drops")
    assert judgement.status == status
    assert judgement.figures == ("it rains: 3 drops" if status == "holds only if" else "3 drops")


def row(num_keys: int, plain: float, scaled: float) -> tuple[dict, dict]:
    shared = {"num_keys": num_keys, "d_k": 16}
    return (
        {**shared, "scaled": False, "mean_max_weight": plain},
        {**shared, "scaled": True, "mean_max_weight": scaled},
    )


@pytest.mark.parametrize(
    ("plain", "status", "told"),
    [
        (0.81, "holds only if", "4 keys: 0.810"),
        (0.76, "holds only if", "within 0.05: 0.760"),
        (0.7, "does not hold", "0.700"),
    ],
)
def test_the_table_is_judged_by_what_was_measured(plain: float, status: str, told: str):
    judgement = table_row(16, 0.8, 0.5)(result(*row(4, plain, 0.51), *row(64, 0.58, 0.11)))
    assert judgement.status == status
    assert told in judgement.figures


def test_judges_change_their_minds_with_the_numbers():
    models = [{"model": "reverse", "training_bits": 0.06}, {"model": "causal", "training_bits": 2.5}]
    assert reverse_cheats(result(*models)).status == "holds"
    assert reverse_cheats(result(models[1] | {"model": "reverse"}, models[1])).status == "does not hold"
    fills = {"0": 0.4, "-inf": 0.0}
    rows = [{"fill": fill, "hidden_weight": weight} for fill, weight in fills.items()]
    assert zero_leaks(result(*rows)).status == "holds"
    assert zero_leaks(result(*[{**row, "hidden_weight": 0.4} for row in rows])).status == "does not hold"
    mended = [{"fill": f"{how}-inf, NaN to 0", "empty_gradient": value} for how, value in (("", 0.0), ("plus ", "NaN"))]
    assert nan_to_zero(result(*mended)).status == "holds only if"
    lines = [{"line": "vertical", "moved": 1.8}, {"line": "horizontal", "moved": 0.1}]
    assert horizontal_lines(result(*lines)).status == "does not hold"
    ranks = [{"heads": 1, "input_rank": 2, "output_rank": 2}, {"heads": 4, "input_rank": 2, "output_rank": 8}]
    assert rank_is_kept(result(*ranks)).status == "holds only if"
    assert rank_is_kept(result(ranks[0], ranks[0] | {"heads": 4})).status == "holds"


def test_the_table_has_a_line_for_each_claim(monkeypatch: pytest.MonkeyPatch):
    ledger = (
        Claim("unit a", "said | so", "fills", lambda found: claims.holds(True, "1 | 2")),
        Claim("unit b", "said more", why="nobody asks"),
    )
    monkeypatch.setattr("attention_surgeon.experiments.claims.table.LEDGER", ledger)
    table = claims_table({"fills": result()})
    assert table.startswith("2 claims: 1 holds, 1 not measured.\n\n## Unit a\n")
    assert r"| **holds** | 1 \| 2 | `fills` |" in table
    assert "| said more | **not measured** | nobody asks | – |" in table
    assert len(re.findall(r"^\| ", table, re.MULTILINE)) == 4
