"""A module and a batch -> the graph of one forward pass, seen at the dispatcher."""
