"""What to fix first: read a workspace once, keep it in a file, and look at it from all sides.

``reading`` asks Prefect and fills the ``Store``; ``workspace`` reads that file; ``sections`` say
what there is, ``checks`` what ought to be mended; ``rendering`` shows both.
"""
