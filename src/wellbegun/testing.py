"""Health in the tests of a project: assertions and a pytest fixture."""
