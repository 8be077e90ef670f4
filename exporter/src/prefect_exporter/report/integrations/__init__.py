"""The systems outside that flows work with, as names, tags, blocks, messages and logs show them."""
