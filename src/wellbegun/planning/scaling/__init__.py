"""How first values and rates change with width and depth: axes that grow, tables of rules, the parametrization."""
