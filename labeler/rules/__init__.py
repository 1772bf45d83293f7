"""The rule labeler: lexicons and cues as data, read by spaCy's tokenizer, negspacy and rules of scope."""
