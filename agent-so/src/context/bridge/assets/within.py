# What comes before threads.py, grpc.py and cassandra.py: `request` is the agent's context variable.
def within(value, run):
    def inner(*args, **kwargs):
        token = request.set(value)
        try:
            return run(*args, **kwargs)
        finally:
            request.reset(token)

    return inner


