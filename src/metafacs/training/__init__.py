"""Training: the loop, its schedule, its run folder and its checkpoints."""
