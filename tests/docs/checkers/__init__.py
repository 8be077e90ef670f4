"""What is done with code blocks of each language; `docs.registry` says which."""
