"""Chapters 1 to 3: minimum-norm shallow denoisers in closed form, and their exact flows."""
