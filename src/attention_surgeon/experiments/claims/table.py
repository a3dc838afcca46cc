"""The ledger as Markdown: one table per unit, and the count of each judgement."""

from collections import Counter
from collections.abc import Mapping

from attention_surgeon.experiments.claims.claim import Measured
from attention_surgeon.experiments.claims.ledger import LEDGER


def claims_table(found: Mapping[str, Measured]) -> str:
    """Return the ledger for what the experiments measured, by name."""
    decided = [(claim, claim.decide(found)) for claim in LEDGER]
    counts = Counter(judgement.status for _, judgement in decided)
    parts = [f"{len(decided)} claims: {', '.join(f'{count} {status}' for status, count in counts.most_common())}."]
    for unit in dict.fromkeys(claim.unit for claim in LEDGER):
        lines = [f"## {unit.capitalize()}", "", "| claim | judgement | what was measured | by |", "|---|---|---|---|"]
        for claim, (status, figures) in decided:
            if claim.unit == unit:
                experiment = f"`{claim.experiment}`" if claim.experiment else "–"
                lines.append(f"| {claim.said} | **{status}** | {figures.replace('|', chr(92) + '|')} | {experiment} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
