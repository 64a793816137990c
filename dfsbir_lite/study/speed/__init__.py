"""What things cost here: `python -m dfsbir_lite bench speed`. One module a subject."""
