"""What the product is made of, whether it may be released, and what a release binds.

Begin with `collect`, which gathers the components; `evidence`, which makes everything that a release is decided by; and
`activation`, which holds a running process to it.
"""
