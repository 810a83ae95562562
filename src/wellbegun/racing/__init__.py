"""Short trainings of several initializations, compared; the parts of `wellbegun.race`."""
