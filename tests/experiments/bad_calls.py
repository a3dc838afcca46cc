"""Wrong calls of the experiments, each with the whole message it gives."""

from tests.bad_call import BadCall

BAD_CALLS = [
    BadCall(
        "experiments.experiment_scaling_factor([])",
        "OptionError",
        "scaling: d_k_values is empty, expected at least one width, such as [16, 64, 256, 1024].",
    ),
    BadCall(
        "experiments.experiment_scaling_factor(64)",
        "ArgumentTypeError",
        "scaling: d_k_values is 64, expected a list such as [16, 64, 256, 1024].",
    ),
    BadCall(
        "experiments.experiment_scaling_factor([16, 0])",
        "OptionError",
        "scaling: d_k is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        "experiments.experiment_scaling_factor([16.0])",
        "ArgumentTypeError",
        "scaling: d_k is 16.0, expected a whole number of at least 1.",
    ),
    BadCall(
        "experiments.experiment_scaling_factor([16], num_keys=1)",
        "OptionError",
        "scaling: num_keys is 1, expected a whole number of at least 2.",
    ),
    BadCall(
        "experiments.experiment_scaling_factor([16], num_draws=-5)",
        "OptionError",
        "scaling: num_draws is -5, expected a whole number of at least 1.",
    ),
    BadCall(
        "experiments.experiment_scaling_factor([16], num_draws=True)",
        "ArgumentTypeError",
        "scaling: num_draws is True, expected a whole number of at least 1.",
    ),
    BadCall(
        'experiments.ReportConfig(text=" \\n ", source="empty.txt")',
        "FileFormatError",
        "report: empty.txt holds no words; give a text with at least one word.",
    ),
    BadCall(
        'experiments.ReportConfig(image_format="gif")',
        "OptionError",
        "report: the format is 'gif'; the choices are png, svg, pdf.",
    ),
    BadCall(
        "experiments.ReportConfig(max_tokens=1)",
        "OptionError",
        "report: max_tokens is 1, expected at least 2 tokens to compare.",
    ),
    BadCall(
        "experiments.ReportConfig(num_heads=0)",
        "OptionError",
        "report: num_heads is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        'experiments.ReportConfig(is_quick="yes")',
        "ArgumentTypeError",
        "report: is_quick is 'yes', expected True or False.",
    ),
    BadCall(
        'experiments.ReportConfig(max_tokens="all")',
        "ArgumentTypeError",
        "report: max_tokens is 'all', expected a whole number of at least 1.",
    ),
    BadCall(
        'experiments.sweep("scalin", {})',
        "OptionError",
        "there is no experiment 'scalin'; there are growth, scaling, saturation, masking, fills, width, rank, order, lines, heads, dropout, topk, promises, fault. Did you mean scaling?",
    ),
    BadCall(
        'experiments.sweep("growth", {"dk": [16]})',
        "OptionError",
        "growth has no setting 'dk'; it has d_k_values, num_draws, seed.",
    ),
    BadCall(
        'experiments.sweep("growth", {"d_k": 16})',
        "ArgumentTypeError",
        "sweep: d_k is 16, expected a list of values such as [16, 64, 256].",
    ),
    BadCall(
        'experiments.sweep("growth", {"d_k": []})',
        "OptionError",
        "sweep: d_k has no values, expected at least one, such as d_k=16,64.",
    ),
    BadCall(
        'experiments.sweep("growth", {"d_k": [16, 16]})',
        "OptionError",
        "sweep: d_k has the value 16 twice; each is run once: give it once.",
    ),
    BadCall(
        'experiments.sweep("growth", {"d_k": [16], "d_k_values": [64]})',
        "OptionError",
        "sweep: d_k and d_k_values are the same setting; give it once.",
    ),
    BadCall(
        'experiments.sweep("growth", {"seed": [1, 2]})',
        "OptionError",
        "sweep: the seed is swept by the number of seeds; give --seeds 8 for 0 to 7.",
    ),
    BadCall(
        'experiments.sweep("growth", {"num_draws": [7]}, settings={"num_draws": 9})',
        "OptionError",
        "sweep: num_draws is set to one value and swept over several; leave one of the two away.",
    ),
    BadCall(
        'experiments.sweep("growth", {}, seeds=0)',
        "OptionError",
        "sweep: seeds is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        'experiments.sweep("growth", {}, seeds=2.0)',
        "ArgumentTypeError",
        "sweep: seeds is 2.0, expected a whole number of at least 1.",
    ),
    BadCall(
        'experiments.sweep("masking", {"source": [3]})',
        "ArgumentTypeError",
        "masking: source is 3, expected a text.",
    ),
    BadCall(
        'experiments.sweep("masking", {"language.steps": [3]})',
        "OptionError",
        "masking's language has no setting 'steps'; it has num_steps, batch_size, learning_rate, context_len, embed_dim, num_heads, num_layers, dropout, use_positions. Did you mean num_steps?",
    ),
    BadCall(
        'experiments.sweep("masking", {"language.num_steps": ["many"]})',
        "ArgumentTypeError",
        "masking's language: num_steps is 'many', expected a whole number.",
    ),
    BadCall(
        'experiments.sweep("masking", {"seed.x": [3]})',
        "OptionError",
        "masking has no setting 'seed.x': seed is no group of settings.",
    ),
    BadCall(
        'experiments.Backend("dusk")',
        "OptionError",
        "sweep: there is no backend 'dusk'; there are local, dask, ray. Did you mean dask?",
    ),
    BadCall(
        'experiments.Backend("dask")',
        "OptionError",
        "sweep: the backend dask needs the address of a cluster, such as tcp://192.168.0.7:8786; without a backend all cores of this machine work.",
    ),
    BadCall(
        'experiments.Backend("local", "tcp://127.0.0.1:8786")',
        "OptionError",
        "sweep: the address tcp://127.0.0.1:8786 is of a cluster, and the backend is local; name it: dask or ray.",
    ),
    BadCall(
        'experiments.Backend("dask", "tcp://127.0.0.1:8786", num_jobs=2)',
        "OptionError",
        "sweep: jobs counts processes on this machine; a dask cluster has its own workers.",
    ),
    BadCall(
        "experiments.Backend(num_jobs=0)",
        "OptionError",
        "sweep: jobs is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        'experiments.sweep("growth", {}, backend=experiments.Backend("dask", "nonsense"))',
        "ClusterError",
        "sweep: no Dask scheduler answers at nonsense (missing port number in address 'nonsense'); start one with: dask scheduler",
    ),
]
