"""Load tests whose numbers are true: what the server did, apart from what the generator did.

Everything here is pure (bytes and times in, records out) but `connection.py`, which reads sockets, and `reader.py`, `pool.py`,
`generator.py`, `recorder.py`, `conductor.py`, `user.py` and `locustfile.py`, which alone know gevent; the last three know locust.

    UsageError (ValueError)      the command line, a scenario, an objective or a trace cannot be used; says which and why
"""

from __future__ import annotations


class UsageError(ValueError):
    """The call is wrong, not the target: the sentence names the field, the value found and what is allowed."""
