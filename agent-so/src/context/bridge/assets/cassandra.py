# What comes after within.py and routes.py: Cassandra's driver, which writes on a thread or in a task of its own what all have asked
# for. Each request has a stream: `told(fd, stream, value)` tells the agent whom it is for before it can be
# written, 0 for nobody. What the driver goes on with when something has come or a time is over is nobody's, whoever made the
# connection.
def before_sent(_, send):
    @functools.wraps(send)
    def inner(self, message, stream, *args, **kwargs):
        try:
            told(self._socket.fileno(), stream, current())
        except Exception:
            pass  # then there is no connection
        return send(self, message, stream, *args, **kwargs)

    return inner


def for_nobody(_, run):
    @functools.wraps(run)
    def inner(*args, **kwargs):
        return within(0, run)(*args, **kwargs)

    return inner


WRAPS["CASSANDRA"] = {
    "cassandra.connection": [
        ("Connection", "process_io_buffer", for_nobody, None),
        ("TimerManager", "service_timeouts", for_nobody, None),
        ("Connection", "send_msg", before_sent, None),
    ],
}


