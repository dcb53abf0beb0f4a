"""The validate step: tables against their contracts, and `ftetl verify`.

Does not depend on the extract and transform steps.
"""
