"""Print what every experiment found, as Markdown: `python -m docs.experiments`; runs that lie in `runs/` are read."""

from attention_surgeon.experiments import EXPERIMENTS
from docs.claims import measured


def main() -> None:
    """Print one section per experiment."""
    for experiment in EXPERIMENTS:
        run = measured(experiment.name)
        settings = ", ".join(f"`{name}`" for name in experiment.setting_names())
        samples = [(next(iter(row.values())), row["sample"]) for row in run.records if "sample" in row]
        print(f"## `{experiment.name}`\n\n**{experiment.question}**\n\n{run.verdict}\n")
        for name, sample in samples:
            print(f"    {name:8} {sample!r}\n")
        print(f"Again: `surgeon experiment run {experiment.name}` ({experiment.duration}). Settings: {settings}.\n")


if __name__ == "__main__":
    main()
