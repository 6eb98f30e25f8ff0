"""Where customers come back: links and pictures of messages, the preference page, surveys, confirmations; each in a file of its own.

Every address carries a signed token that says who comes and why (`services.consent.tokens`), so no route asks a database who it is.
GET and HEAD change nothing but for what clicks and opens report: scanners and previews open every link of a mail.
"""
