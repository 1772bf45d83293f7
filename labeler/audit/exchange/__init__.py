"""Texts out to readers and readings back in: Label Studio, Excel, CSV, JSON lines.

Every format carries the same rows (``labeler.audit.exchange.rows``), each bound to its audit by the hash of the frame.
No task that goes out holds what a machine said. What a format cannot hold as it is, is escaped and comes back exactly.
"""
