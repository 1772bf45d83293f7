"""The page on which radiologists read drawn reports: what is shown to whom, a local server, its script and style.

    events -> Sheets (what each reader has said of each text) -> Desk (which text is next; what is said is appended)
    Desk + sessions + guard -> the application -> the server

Nothing of a report, of a label or of a reader leaves this machine, unless another host is named and its TLS files are
given.
"""
