"""Attempts by hand at the exercises: right in another style, wrong, and stopping with an error."""

from tests.course_content.attempts.attempt import Attempt, Judged, judged
from tests.course_content.attempts.beginners import BEGINNERS
from tests.course_content.attempts.crashing import CRASHING as ERRORS
from tests.course_content.attempts.right import RIGHT as OTHER_STYLES
from tests.course_content.attempts.steps import CRASHING_STEPS, RIGHT_STEPS, WRONG_STEPS
from tests.course_content.attempts.wrong import WRONG as NOT_AS_ASKED

RIGHT = OTHER_STYLES + BEGINNERS + RIGHT_STEPS
WRONG = NOT_AS_ASKED + WRONG_STEPS
CRASHING = ERRORS + CRASHING_STEPS

__all__ = ["CRASHING", "RIGHT", "WRONG", "Attempt", "Judged", "judged"]
