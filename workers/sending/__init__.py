"""
Sending: what `workers/deliver.py` is made of.

    transport   where messages are handed over: a folder of .eml files, or a mail server
    smtp        one conversation with a mail server, and what each of its answers means
    claim       what is due, decided and taken in hand
    told        what comes back: bounces, complaints, answers, unsubscriptions
    opt_in      the mail that asks to confirm a consent
"""
