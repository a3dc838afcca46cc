import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from attention_surgeon import faults, witness
from attention_surgeon.faults import STAGES, Family, Fault, Sighting, catalogue, faults_of, find_fault

NAMES = """
projection: bias_dropped projection_transposed projection_shared values_not_projected projection_unused
heads: heads_split_by_view heads_strided heads_not_split heads_averaged heads_tiled attends_over_batch
    attends_over_heads
operands: query_key_swapped key_value_swapped query_value_swapped operands_rotated query_as_key key_as_query
    key_as_value query_as_value value_as_key value_as_query context_ignored context_as_query chunk_order_wrong
score: key_not_transposed key_reshaped scores_transposed scores_negated cosine_scores distance_scores
    rotary_layouts_mixed rotary_over_heads rotary_on_one_side rotary_direction rotary_positions_wrong
    rotary_before_split norm_missing_on_keys norm_axis_wrong norm_inverted positions_on_one_side query_ignored
scale: scale_missing scale_multiplied scale_by_key_size scale_twice scale_by_fourth_root scale_by_model_width
    scale_by_value_size scale_by_num_keys scale_by_num_queries scale_by_num_heads scale_hard_coded scale_after_softmax
    scale_flag_ignored scale_flag_inverted scale_not_asked cap_missing
mask: mask_ignored mask_inverted mask_after_softmax mask_multiplied mask_filled_with_zero mask_added_as_zero_one
    mask_subtracted mask_fill_too_small mask_fill_positive mask_times_infinity mask_before_scale mask_off_by_one
    mask_diagonal_hidden mask_transposed mask_first_only mask_hides_queries none_mask_is_causal causal_missing
    causal_reversed causal_aligned_at_start causal_aligned_at_end nan_rows padding_inverted padding_off_by_one
    alibi_sign alibi_slopes relative_bias_misplaced window_off_by_one window_ignored cap_after_mask mask_batch_order
    mask_misread causal_ignored cache_future_seen tail_dropped pad_id_wrong documents_mixed prefix_misplaced
    masks_joined_by_or mask_rows_alike relative_bucket_wrong
normalise: softmax_over_queries softmax_over_heads softmax_over_batch softmax_over_everything softmax_missing
    exp_not_normalised softmax_no_max_subtraction global_max_subtracted softmax_twice softmax_plus_one softmax_base_two
    log_softmax_used sigmoid_used scores_divided_by_sum hard_max sum_without_keepdim renormalised_over_queries
    l2_normalised weights_divided_by_num_keys sink_missing sink_scaled online_softmax_not_rescaled
    running_maximum_finite sums_in_low_precision bias_after_softmax sink_column_wrong exp_divided_by_mean
    softmax_axis_ignored
combine: weights_transposed weights_ignored value_returned output_zero residual_added scores_combined scores_returned
    returns_swapped weights_before_mask_returned rotary_on_values values_out_of_order weights_returned_differ
    weights_returned_transposed positions_on_values sink_as_value
merge: heads_merged_without_transpose head_outputs_averaged first_head_only heads_reversed heads_merged_by_feature
    heads_out_of_order heads_unfolded_wrongly
output: output_projection_missing output_bias_dropped residual_added_to_layer output_projected_twice
    residual_multiplied residual_missing residual_of_projection
state: mutates_inputs cuts_gradient wrong_dtype dropout_in_eval dropout_not_rescaled shares_state cache_changes_output
    dropout_before_softmax
statistics: entropy_negated entropy_in_bits entropy_nan_at_zero entropy_summed entropy_over_queries diagonal_summed
    max_of_means
"""
"""Names are part of the interface: people write them down."""

NO_FAULTS = """
attn_mask context_width dropout_p head_size is_causal
key_rows n_k n_q need_weights use_cache
has_torch_function has_torch_function_unary has_torch_function_variadic layer_norm log_softmax named_parameters
repeat_interleave rms_norm scaled_dot_product_attention true_divide
causal_start diagonal_hidden full_attention one_ahead reversed_without_diagonal window_ahead
rows_mix_tokens rows_unknown key_size kv_heads value_size sm_scale softmax_scale
"""
"""What the witness has in quotes beside names of faults: arguments, operations, patterns, its own states."""

by_name = pytest.mark.parametrize("fault", catalogue(), ids=lambda fault: fault.name)


def test_every_fault_has_its_name_and_its_stage():
    stages = re.findall(r"^(\w+):((?:.*\n)(?:    .*\n)*)", NAMES, re.MULTILINE)
    named = {name: stage for stage, names in stages for name in names.split()}
    assert len(named) == 171
    assert {fault.name: fault.stage for fault in catalogue()} == named


def test_no_two_faults_have_one_name():
    names = [fault.name for fault in catalogue()]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z]+)*", name) for name in names)


def test_they_stand_in_the_order_of_the_pipeline():
    stages = [STAGES.index(fault.stage) for fault in catalogue()]
    assert stages == sorted(stages)
    assert set(stages) == set(range(len(STAGES)))


def test_a_family_has_its_faults_in_the_same_order():
    for family in get_args(Family):
        found = faults_of(family)
        assert found
        assert list(found) == [fault for fault in catalogue() if family in fault.families]


def test_what_any_layer_can_have_those_with_more_to_get_wrong_have_too():
    for fault in faults_of("layer"):
        assert fault.families >= {"cross", "grouped"}, fault.name
    assert {fault.name for fault in faults_of("cross")} - {fault.name for fault in faults_of("layer")} == {
        "context_ignored",
        "context_as_query",
    }


def test_every_fault_that_the_witness_names_is_in_the_catalogue():
    """A name that is not there would be shown without its words: `diagnose.observed` drops it."""
    files = Path(witness.__file__).parent.glob("*.py")
    said = {name for file in files for name in re.findall(r'"([a-z]+(?:_[a-z0-9]+)+)"', file.read_text("utf-8"))}
    named = said & {fault.name for fault in catalogue()}
    assert len(named) > 60
    assert said - named == set(NO_FAULTS.split())


def test_everything_public_is_exported():
    public = {"Fault", "Sighting", "Stage", "Family", "STAGES", "operate", "catalogue", "find_fault", "faults_of"}
    public |= {"with_faults"}
    assert public <= set(faults.__all__)
    assert all(hasattr(faults, name) for name in faults.__all__)


def test_a_fault_is_found_by_its_name():
    for fault in catalogue():
        assert find_fault(fault.name) is fault


@by_name
def test_a_fault_can_be_put_in(fault: Fault):
    assert (fault.operate is None) != (fault.wrap is None)
    assert fault.families <= set(get_args(Family))
    assert fault.families


@by_name
def test_every_text_is_a_sentence(fault: Fault):
    for text in (fault.summary, fault.in_training, fault.in_numbers, fault.question, fault.pointer):
        assert text[0].isupper() or not text.split()[0].isalpha()  # it may begin with code
        assert text == " ".join(text.split())
        assert text.count("(") == text.count(")")
        assert 15 < len(text) <= 200
    for text in (fault.summary, fault.in_training, fault.in_numbers, fault.pointer):
        assert text.endswith(".")
        assert "?" not in text


@by_name
def test_a_question_leads_there_and_does_not_say_it(fault: Fault):
    assert fault.question.endswith("?")
    assert fault.name not in fault.question
    assert fault.name.replace("_", " ") not in fault.question.lower()
    for line in fault.fix.splitlines():
        assert line.split("  #")[0].strip() not in fault.question
    assert fault.summary not in (fault.question, fault.pointer)
    assert fault.pointer.startswith("Look ")


@by_name
def test_a_fix_is_a_line_or_two_of_python(fault: Fault):
    assert 1 <= len(fault.fix.splitlines()) <= 2
    body = "\n".join("    " + line for line in fault.fix.splitlines())
    ast.parse(f"def f():\n{body}")


@by_name
def test_sightings_are_addresses(fault: Fault):
    for sighting in fault.sightings:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", sighting.repository)
        assert sighting.number > 0
        assert sighting.kind in ("issues", "pull")
    assert len(set(fault.sightings)) == len(fault.sightings)


def test_the_most_frequent_faults_were_seen_in_the_wild():
    seen = [fault for fault in catalogue() if fault.sightings]
    assert len(seen) >= 30
    assert Sighting("karpathy/ng-video-lecture", 6, "pull") in find_fault("scale_by_model_width").sightings


def test_a_sighting_is_cited_as_people_cite_it():
    pull = Sighting("karpathy/ng-video-lecture", 6, "pull")
    assert str(pull) == "karpathy/ng-video-lecture PR #6"
    assert pull.url == "https://github.com/karpathy/ng-video-lecture/pull/6"
    assert str(Sighting("pytorch/pytorch", 41508)) == "pytorch/pytorch #41508"


def test_no_two_faults_say_the_same():
    for texts in ("summary", "pointer"):
        said = [getattr(fault, texts) for fault in catalogue()]
        assert len(said) == len(set(said)), texts
