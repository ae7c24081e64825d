"""The instructors' side of the exercises: sources with solutions and hidden tests, and answers that test the checks.

Nothing in here is published: not in the book, not in the wheel.
"""
