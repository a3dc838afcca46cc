"""Judging a whole class, and handing its grades to the tools of teachers."""

from attention_surgeon.course.grading.grade import Grade, Submission, grade
from attention_surgeon.course.grading.students import Roster, Student, read_roster

__all__ = ["Grade", "Roster", "Student", "Submission", "grade", "read_roster"]
