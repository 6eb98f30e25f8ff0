"""The pages that customers see: templates, words in Russian and English, one style sheet, and what renders them.

No script, no cookie, nothing loaded from anywhere; forms work as plain HTML. Every file can be replaced by one of the same name in the
folder of `[ingest] pages_directory`.
"""
