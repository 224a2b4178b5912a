"""The variables that the rules of a policy may name: a row and a function each.

A variable is a function of a customer's facts up to an instant and of that instant's day, of the
profile as it was valid then, or of these and a stored model. What is not known (the gap of somebody
who purchased once) fulfils no comparison. To add one: a row beside its kin, with its function;
`registry` collects the rows, and nothing else asks for a variable by its name.
"""
