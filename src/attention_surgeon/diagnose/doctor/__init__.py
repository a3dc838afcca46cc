"""The grader graded: faults that must be named, and right code that must be left alone."""
