"""Do the auditor's input and output: files, processes, databases, documents.

The one package of `maillon.ledger` that touches the world. What decides stays in its siblings.
"""
