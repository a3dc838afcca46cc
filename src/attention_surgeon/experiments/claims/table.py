"""The ledger as Markdown: one table per unit, and the count of each judgement."""

from collections import Counter
from collections.abc import Mapping, Sequence

from attention_surgeon.experiments.claims.claim import Claim, Judgement, Measured, Status
from attention_surgeon.experiments.claims.ledger import LEDGER


def decide_all(found: Mapping[str, Measured]) -> list[tuple[Claim, Judgement]]:
    """Return every claim with its judgement, for what the experiments measured, by name."""
    return [(claim, claim.decide(found)) for claim in LEDGER]


def count_judgements(decided: Sequence[tuple[Claim, Judgement]]) -> dict[Status, int]:
    """Return how many claims have which judgement, the commonest first."""
    counted: Counter[Status] = Counter(judgement.status for _, judgement in decided)
    return dict(counted.most_common())


def claims_table(found: Mapping[str, Measured]) -> str:
    """Return the ledger for what the experiments measured, by name."""
    decided = decide_all(found)
    counts = count_judgements(decided)
    parts = [f"{len(decided)} claims: {', '.join(f'{count} {status}' for status, count in counts.items())}."]
    for unit in dict.fromkeys(claim.unit for claim in LEDGER):
        lines = [f"## {unit.capitalize()}", "", "| claim | judgement | what was measured | by |", "|---|---|---|---|"]
        for claim, (status, figures) in decided:
            if claim.unit == unit:
                experiment = f"`{claim.experiment}`" if claim.experiment else "–"
                lines.append(f"| {claim.said} | **{status}** | {figures.replace('|', chr(92) + '|')} | {experiment} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
