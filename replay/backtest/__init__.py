"""One plan over many traces: what would have come out, what it would have cost, and how sure one can be of that.

run       backtest(): chooses the traces, hands them out, takes back what came of them
work      one trace under the plan, in whatever process; doing it twice is doing it once
outcome   what came of one trace
purse     one budget for many processes
ledger    what is done already, on disk, so that a backtest that was cut short goes on
scoring   when two outputs count as the same; judge asks a model
intervals how far a share or a mean can be trusted
report    all outcomes together; table and page show it
"""
