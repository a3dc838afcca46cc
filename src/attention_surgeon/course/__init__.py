"""The runner of the course: what there is to do, the learner's workspace, and the verdict on what was written.

Nothing here loads torch before something is judged: the first screen must not wait for it.
"""

from attention_surgeon.course.checking import check_exercise
from attention_surgeon.course.load import content_folder, load_course
from attention_surgeon.course.registry import Course, Exercise, Prediction, Unit

__all__ = [
    "Course",
    "Exercise",
    "Prediction",
    "Unit",
    "check_exercise",
    "content_folder",
    "load_course",
]
