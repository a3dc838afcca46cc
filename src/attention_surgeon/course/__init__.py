"""The runner of the course: what there is to do, the learner's workspace, and the verdict on what was written."""

from attention_surgeon.course.load import content_folder, load_course
from attention_surgeon.course.registry import Course, Exercise, Prediction, Unit

__all__ = ["Course", "Exercise", "Prediction", "Unit", "content_folder", "load_course"]
