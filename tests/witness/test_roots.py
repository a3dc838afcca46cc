"""From which tokens what is multiplied was made."""

import numpy as np

from attention_surgeon.witness.flow import NONE
from attention_surgeon.witness.roots import _as_most_of_a_row


def test_an_element_that_a_token_hardly_changes_is_of_the_token_of_its_row():
    labels = np.array([[3, 3, NONE, 3, 3, 3], [4, 4, 4, 4, 4, 4], [1, 2, 1, 2, 1, 2], [5, 5, 5, 5, 6, 6]])
    found = _as_most_of_a_row(labels)
    assert (found[0] == 3).all()
    assert (found[1:] == labels[1:]).all()
