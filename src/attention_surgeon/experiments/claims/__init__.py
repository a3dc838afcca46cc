"""The claims of the course, each with the experiment that decides it."""

from attention_surgeon.experiments.claims.claim import Claim, Judgement, Measured, Status
from attention_surgeon.experiments.claims.ledger import LEDGER
from attention_surgeon.experiments.claims.table import claims_table, count_judgements, decide_all

__all__ = ["LEDGER", "Claim", "Judgement", "Measured", "Status", "claims_table", "count_judgements", "decide_all"]
