"""Jobs of other systems, driven from a flow: started once, followed, and never left behind."""
