"""Ask Prefect for what a report looks at, and keep it in the store, portion by portion.

``plan`` says in which order what is read; each of its parts, one resource a module, is a ``Piece``
that returns one ``Portion`` at a time; ``reader`` runs the pieces, and writes each portion with its
cursor, so that a report that was stopped goes on where it was.
"""
