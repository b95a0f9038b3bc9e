"""What touches the world: the way in, the way out, and the command line that puts the whole together."""
