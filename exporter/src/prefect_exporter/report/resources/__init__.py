"""What runs ask for, what they use of it, and what it costs."""
