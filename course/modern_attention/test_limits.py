from attention_surgeon.course import check_exercise
from limits import cap_scores, weights_with_sink, window_mask


def test_window_mask():
    check_exercise("modern.window", window_mask)


def test_cap_scores():
    check_exercise("modern.softcap", cap_scores)


def test_weights_with_sink():
    check_exercise("modern.sinks", weights_with_sink)
