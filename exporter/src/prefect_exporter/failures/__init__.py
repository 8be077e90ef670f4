"""What failed, whose it is, and whether it is the same again: docs/errors.md, from the outside.

What Prefect's API has of a failure, a state and the text of a traceback, is enough for the same
categories and fingerprints as ``prefect-instrumentation`` has inside the process.
"""
