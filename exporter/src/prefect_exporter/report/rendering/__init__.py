"""A report in its formats: HTML for reading and printing, Markdown for posting, JSON for programs.

All that a report says may come from Prefect, where anybody can name things. Each format escapes it,
spells out what nobody can see, and shows no more of a text than fits.
"""
