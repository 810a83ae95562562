"""Train several initializations briefly and compare them, with the spread.

The function is `wellbegun.race`; this package holds what it is made of. Import from its modules by name, as in
`from wellbegun.race.results import Race`: as an attribute, `wellbegun.race` is the function.
"""
