from attention_surgeon.faults.fault import Fault


def draft(name, stage, families, summary, operate=None, **more):
    return Fault(
        name=name,
        stage=stage,
        families=frozenset(families),
        summary=summary,
        in_training="to be written",
        in_numbers="to be written",
        question="To be written?",
        pointer="to be written",
        fix="to be written",
        operate=operate,
        **more,
    )
