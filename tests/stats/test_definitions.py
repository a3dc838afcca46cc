from dataclasses import fields

from attention_surgeon.stats import (
    COMPARISONS,
    DEFINITIONS,
    PATTERNS,
    PER_HEAD,
    HeadStatistics,
    PatternDifference,
    definition_of,
)


def test_every_number_of_the_records_is_defined_and_none_besides():
    counts = ("num_rows", "num_empty", "num_left_out", "options")
    for record, definitions in ((HeadStatistics, DEFINITIONS), (PatternDifference, COMPARISONS)):
        assert [field.name for field in fields(record) if field.name not in counts] == [
            definition.name for definition in definitions
        ]


def test_every_definition_says_everything():
    for each in (*DEFINITIONS, *COMPARISONS):
        assert all(getattr(each, field.name) for field in fields(each)), each.name
        assert definition_of(each.name) is each
    for pattern in PATTERNS:
        assert all(getattr(pattern, field.name) for field in fields(pattern)), pattern.name


def test_what_is_one_number_for_each_head():
    assert set(PER_HEAD) == {each.name for each in DEFINITIONS} - {"received", "similarity"}
