"""The audit of a label table: which reports to read, what readers said of them, and what follows for the rest."""
