"""How the runs of a period failed: in which order, together with which, again and again."""
