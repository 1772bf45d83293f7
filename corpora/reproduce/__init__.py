"""A run done again from its manifest, and compared with what it made.

command.py    radloop reproduce
rerun.py      the command of a manifest, its outputs led elsewhere
compare.py    two runs, file by file: the same bytes, the same figures, or other ones
"""
