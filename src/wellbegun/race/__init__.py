"""Train several initializations briefly and compare them, with the spread."""
