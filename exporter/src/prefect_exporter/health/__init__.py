"""Whether Prefect is all right, from what the collectors last learnt: pure, and asks nobody.

One part a module: ``work`` (late and stuck), ``pools``, ``failing``, ``failures``. Each turns the
readings of one target into a few rows, ``whole`` puts targets together, ``verdict`` says the word.
"""
