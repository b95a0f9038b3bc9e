"""
The report: figures of a window as one page for people, and as tables for spreadsheets.

`ask` reads everything in one snapshot of the database; what follows is pure: `sections` says what stands in the report,
`plot` draws, `page` writes the HTML and `sheets` the CSV. Page and CSV are made of the same tables, so they agree.
"""
