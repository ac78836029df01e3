"""What the hub writes down: tables, the one bridge between tasks and rows, the ledger, the queries.

Nobody outside this package names a table or a driver.
"""
