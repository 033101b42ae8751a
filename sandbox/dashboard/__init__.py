"""The workbook's picture (`components/quotas/workbook.py`) from the sandbox's own figures, a page.

`figures` reads the rows that the agents posted and what the data plane measured, `tiles` says what
of it is well, `cards` draws the rest with `charts`, and `page` puts all of it together.
"""
