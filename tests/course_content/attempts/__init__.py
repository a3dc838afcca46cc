"""Attempts by hand at the exercises: right in another style, wrong, and stopping with an error."""

from tests.course_content.attempts.attempt import Attempt, Judged, judged
from tests.course_content.attempts.beginners import BEGINNERS
from tests.course_content.attempts.crashing import CRASHING
from tests.course_content.attempts.right import RIGHT as OTHER_STYLES
from tests.course_content.attempts.wrong import WRONG

RIGHT = OTHER_STYLES + BEGINNERS

__all__ = ["CRASHING", "RIGHT", "WRONG", "Attempt", "Judged", "judged"]
