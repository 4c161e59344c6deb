"""Background tasks, notifications between tasks, and bounded waits for calls of drivers.

A wait is bounded in one of two ways: `asyncio.timeout` where the awaited code ends when it is cancelled, which is nearly
everywhere; `UncancelledCalls` for calls of a driver that a cancellation would break, and which therefore run to their
own end.
"""
