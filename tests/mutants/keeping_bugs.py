"""Bugs of what is kept: checkpoints, runs, sweeps."""

from tests.mutants.mutant import Mutant

KEEPING_BUGS = [
    Mutant("only the newest checkpoint kept", "models/checkpoint.py", "_KEPT = 2", "_KEPT = 1"),
    Mutant(
        "the oldest checkpoint taken",
        "models/checkpoint.py",
        "fullmatch(path.name)), reverse=True)",
        "fullmatch(path.name)))",
    ),
    Mutant(
        "checkpoint written in place",
        "models/checkpoint.py",
        "    write_file(path, content)",
        "    path.write_bytes(content)",
    ),
    Mutant(
        "numbers of a checkpoint unchecked",
        "models/checkpoint.py",
        "        whole.update(tensor.flatten().view(torch.uint8).numpy().tobytes())\n",
        "",
    ),
    Mutant(
        "description of a checkpoint unchecked",
        "models/checkpoint.py",
        "hashlib.sha256(json.dumps(described).encode())",
        "hashlib.sha256()",
    ),
    Mutant(
        "a broken checkpoint ends the search",
        "models/checkpoint.py",
        "            problems.append(str(error))\n            continue",
        "            problems.append(str(error))\n            break",
    ),
    Mutant(
        "shapes of a checkpoint unchecked",
        "models/checkpoint.py",
        "            checkpoint.require_shapes(shapes, path)\n",
        "",
    ),
    Mutant(
        "settings of a checkpoint unchecked",
        "models/checkpoint.py",
        "            checkpoint.require_settings(settings, folder)\n",
        "",
    ),
    Mutant("half-written checkpoints stay", "models/training.py", "    remove_unfinished(folder)\n", ""),
    Mutant(
        "moments of the optimiser not resumed",
        "models/training.py",
        "    optimizer.load({name.removeprefix(_MOMENTS): tensor for name, tensor in moments.items()})\n",
        "",
    ),
    Mutant(
        "dropout not drawn for each step",
        "models/training.py",
        "torch.manual_seed(config.seed * 1_000_003 + step)",
        "pass",
    ),
    Mutant(
        "the step after the checkpoint done twice",
        "models/training.py",
        "range(len(records) + 1, config.num_steps + 1)",
        "range(max(len(records), 1), config.num_steps + 1)",
    ),
    Mutant(
        "a run is known whatever its versions",
        "experiments/sweep_points.py",
        'described["command"] = None  # another way to say the same',
        'described["command"] = described["versions"] = None',
    ),
    Mutant(
        "a run is known whatever its seed",
        "experiments/sweep_points.py",
        'described["command"] = None  # another way to say the same',
        'described["command"] = described["seed"] = described["config"]["seed"] = None',
    ),
    Mutant(
        "an unfinished point counts as made",
        "experiments/sweep_points.py",
        "is_it = run.is_finished and (",
        "is_it = (",
    ),
    Mutant(
        "what is inside a point unchecked",
        "experiments/sweep_points.py",
        'run.is_finished and (run.config, run.versions) == (described["config"], described["versions"])',
        "run.is_finished",
    ),
    Mutant(
        "a point written in place",
        "experiments/sweep_points.py",
        'staging = final_folder.with_name(f".{final_folder.name}-{uuid.uuid4().hex[:8]}")',
        "staging = final_folder",
    ),
    Mutant(
        "half-made points stay",
        "experiments/sweep_points.py",
        "            shutil.rmtree(staging, ignore_errors=True)\n",
        "            pass\n",
    ),
    Mutant(
        "worker's versions unchecked",
        "experiments/sweep_points.py",
        '        require_same_versions(self.versions, measured.versions, f"the worker that made {point}")\n',
        "",
    ),
    Mutant(
        "points made on as many cores as there are",
        "experiments/sweep_points.py",
        "    with _ONE_AT_A_TIME, one_thread():\n        begun",
        "    with _ONE_AT_A_TIME:\n        begun",
    ),
    Mutant("points made again every time", "experiments/sweeps.py", "if store.find(point) is None}", "}"),
    Mutant(
        "a point that fails stops the others",
        "experiments/sweeps.py",
        "                failures[name] = outcome\n",
        "                raise outcome\n",
    ),
    Mutant(
        "failures swallowed",
        "experiments/sweeps.py",
        "        if failures:\n            raise",
        "        if False:\n            raise",
    ),
    Mutant(
        "one seed too few",
        "experiments/sweep_config.py",
        "range(self.seed, self.seed + self.num_seeds)",
        "range(self.seed, max(self.seed + self.num_seeds - 1, 1))",
    ),
    Mutant(
        "seeds from 0 whatever was asked",
        "experiments/sweep_config.py",
        "range(self.seed, self.seed + self.num_seeds)",
        "range(self.num_seeds)",
    ),
    Mutant(
        "spread of a population",
        "experiments/sweep_summary.py",
        "statistics.stdev(values)",
        "statistics.pstdev(values)",
    ),
    Mutant(
        "median for mean", "experiments/sweep_summary.py", "statistics.fmean(values) if", "statistics.median(values) if"
    ),
    Mutant(
        "seeds of different values mixed", "experiments/sweep_summary.py", 'place = (*swept, "row")', 'place = ("row",)'
    ),
    Mutant(
        "points of a killed process lost",
        "experiments/backends_joblib.py",
        "            except TerminatedWorkerError:\n",
        "            except TerminatedWorkerError:\n                return\n",
    ),
    Mutant(
        "all points again after a killed process",
        "experiments/backends_joblib.py",
        "                    del missing[name]\n                    yield name, outcome",
        "                    yield name, outcome\n                missing.clear()",
    ),
    Mutant(
        "a cluster without workers is waited for",
        "experiments/backends_dask.py",
        "if not self._num_workers:",
        "if False:",
    ),
    Mutant(
        "a run is finished before its records",
        "experiments/runs.py",
        '    for name, records in {"records"',
        '    write_file(folder / "verdict.txt", f"{result.verdict}\\n")\n    for name, records in {"records"',
    ),
    Mutant(
        "resume takes another run's settings",
        "experiments/runs.py",
        'if key != "command")',
        'if key not in ("command", "config", "seed"))',
    ),
    Mutant(
        "a finished run counts as unfinished",
        "experiments/runs.py",
        'if not (folder / "verdict.txt").exists():\n            return folder',
        "return folder",
    ),
]
