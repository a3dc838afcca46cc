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
        'experiments.ReportConfig(max_tokens="all")',
        "ArgumentTypeError",
        "report: max_tokens is 'all', expected a whole number of at least 1.",
    ),
]
