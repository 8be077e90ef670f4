"""How completions are found: rows by time, a count audit, and events, all into one set of keys."""
