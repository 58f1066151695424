# Run once inside the program, in a name space of its own: `request` is the agent's context variable, `current()` the value
# that it must have in what is started now, 0 for none. What a thread, a pool's job or a greenlet runs belongs to the
# request in which it was started. Nothing else of the starter's context is
# carried, and nothing is done where there is no request.
import functools
import sys
import threading
from concurrent.futures import thread as pools


def wrap_submit(submit):
    @functools.wraps(submit)
    def inner(self, fn, /, *args, **kwargs):
        value = current()
        return submit(self, within(value, fn) if value else fn, *args, **kwargs)

    return inner


def wrap_start(start):
    @functools.wraps(start)
    def inner(self):
        # A pool's thread works for all that hand it something, not for the first of them.
        value = 0 if getattr(self, "_target", None) is worker or is_of_aiosqlite(self) else current()
        if not value:
            return start(self)
        run = self.run

        def once():
            self.__dict__.pop("run", None)
            within(value, run)()

        self.run = once
        try:
            return start(self)
        except BaseException:
            self.__dict__.pop("run", None)
            raise

    return inner


def is_of_aiosqlite(thread):
    run = getattr(thread, "_target", None) or type(thread)
    if getattr(run, "__module__", "") != "aiosqlite.core":
        return False
    look_at_aiosqlite()
    return True


def look_at_aiosqlite():
    connection = getattr(sys.modules.get("aiosqlite.core"), "Connection", None)
    execute = getattr(connection, "_execute", None)
    if execute and not hasattr(execute, "__wrapped__"):
        connection._execute = wrap_execute(execute)


# What a connection's thread is given to do.
def wrap_execute(execute):
    @functools.wraps(execute)
    def inner(self, fn, *args, **kwargs):
        value = current()
        return execute(self, within(value, fn) if value else fn, *args, **kwargs)

    return inner


def wrap_init(init):
    @functools.wraps(init)
    def inner(self, *args, **kwargs):
        init(self, *args, **kwargs)
        inherit(self)

    return inner


def inherit(greenlet):
    value = current()
    if value and greenlet.gr_context is None:
        context = contextvars.Context()
        context.run(request.set, value)
        greenlet.gr_context = context


worker = getattr(pools, "_worker", threading)
pools.ThreadPoolExecutor.submit = wrap_submit(pools.ThreadPoolExecutor.submit)
threading.Thread.start = wrap_start(threading.Thread.start)
look_at_aiosqlite()
gevent = sys.modules.get("gevent.greenlet")
eventlet = sys.modules.get("eventlet.greenthread")
if gevent or eventlet:
    import contextvars
if gevent:
    gevent.Greenlet.add_spawn_callback(inherit)
if eventlet:
    eventlet.GreenThread.__init__ = wrap_init(eventlet.GreenThread.__init__)
