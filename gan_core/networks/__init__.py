"""Networks: tensors in, tensors out; they know no loss and no optimizer. A family is a file; ``layers`` they share.

``CAPABILITIES`` of a family, a literal, names its roles and what a network of each offers beside being called; the
class of a role has its name. ``SAMPLES`` says what it can draw, ``Options`` are the settings that only this family has.
"""
