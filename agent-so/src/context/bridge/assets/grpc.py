# Run once inside the program, in a name space of its own, when it loads the library below grpcio. That library reads and writes
# on threads of its own, so the call's header says whom it is for: `handed()` gives the one of the request that this context
# works for, `carrier(header)` the value for `request`, the agent's context variable, that stands for the request that came
# with the header; both 0 for none. `current()` is the value for what is started here; `loaded()` says that the library is. `sides` names
# those that are wanted.
#
# Wrapped are the library's own functions, as their modules are imported; each has returned, or given its coroutine away,
# before the program's code runs: no frame of these lines is in the program's stack.
import contextvars
import functools
import sys

KEY = "traceparent"


def with_header(metadata):
    header = handed()
    if not header:
        return metadata
    try:
        own = tuple(metadata or ())
        if any(key.lower() == KEY for key, _ in own):
            return metadata
    except Exception:
        return metadata  # what is wrong with it the library says
    return (*own, (KEY, header))


def serve(metadata, run):
    try:
        headers = [value for key, value in metadata if key == KEY]
        value = carrier(headers[0]) if len(headers) == 1 else 0
        if value:
            run(request.set, value)
    except Exception:
        pass


def wrap_result(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return with_header(function(*args, **kwargs))

    return inner


def wrap_first(function):
    @functools.wraps(function)
    def inner(metadata, *args, **kwargs):
        return function(with_header(metadata), *args, **kwargs)

    return inner


def wrap_handler(make):
    @functools.wraps(make)
    def inner(*args, **kwargs):
        value, handler = current(), make(*args, **kwargs)
        return functools.wraps(handler)(within(value, handler)) if value else handler

    return inner


def wrap_thread(start):
    # It works for all calls of its channel, not for the one that happens to be the first.
    @functools.wraps(start)
    def inner(*args, **kwargs):
        return contextvars.Context().run(start, *args, **kwargs)

    return inner


def wrap_call(init):
    @functools.wraps(init)
    def inner(self, cython_call, metadata, *args, **kwargs):
        init(self, cython_call, with_header(metadata), *args, **kwargs)

    return inner


def wrap_find(find):
    @functools.wraps(find)
    def inner(rpc_event, state, *args, **kwargs):
        serve(rpc_event.invocation_metadata, state.context.run)
        return find(rpc_event, state, *args, **kwargs)

    return inner


def apply(function, *args):
    return function(*args)


def wrap_server(init, interceptor):
    # A call is a task: what is set in the first step of looking for its handler holds until it is answered.
    class First:
        def service(self, details):
            serve(details.invocation_metadata, apply)

    class Outermost(interceptor):
        def intercept_service(self, continuation, details):
            serve(details.invocation_metadata, apply)
            return continuation(details)

    @functools.wraps(init)
    def inner(self, thread_pool, generic_handlers, interceptors, *args, **kwargs):
        if interceptors:
            interceptors = (Outermost(), *interceptors)
        else:
            generic_handlers = (First(), *(generic_handlers or ()))
        init(self, thread_pool, generic_handlers, interceptors, *args, **kwargs)

    return inner


def of_channel(module):
    # The same functions are asyncio's, where interceptors see what they return.
    compression = type(sys)(module._compression.__name__)
    vars(compression).update(vars(module._compression))
    compression.augment_metadata = wrap_result(compression.augment_metadata)
    parts = [("_stream_unary_invocation_operations", wrap_first), ("_event_handler", wrap_handler),
             ("_run_channel_spin_thread", wrap_thread)]
    wrapped = {name: wrap(vars(module)[name]) for name, wrap in parts}
    vars(module).update(wrapped, _compression=compression)


def of_aio_call(module):
    module.Call.__init__ = wrap_call(module.Call.__init__)


def of_server(module):
    module._find_method_handler = wrap_find(module._find_method_handler)


def of_aio_server(module):
    server = module.Server
    server.__init__ = wrap_server(server.__init__, module.ServerInterceptor)


WRAPS = {
    "client": {"grpc._channel": of_channel, "grpc.aio._call": of_aio_call},
    "server": {"grpc._server": of_server, "grpc.aio._server": of_aio_server},
}
waiting = {module: wrap for side in sides for module, wrap in WRAPS[side].items()}


def finish(name, module):
    loaded()
    wrap = waiting.pop(name, None)
    if not waiting and finder in sys.meta_path:
        sys.meta_path.remove(finder)
    try:
        wrap and wrap(module)
    except Exception:
        pass  # another version


class Finder:
    """Stands in front while grpcio is being imported."""

    def find_spec(self, name, path=None, target=None):
        if name not in waiting:
            return None
        others = (other for other in list(sys.meta_path) if other is not self)
        found = (other.find_spec(name, path, target) for other in others)
        spec = next(filter(None, found), None)
        try:
            loader = spec.loader
            load = loader.exec_module
            if isinstance(loader, type):
                raise TypeError  # all modules of its kind share it

            def exec_module(module):
                vars(loader).pop("exec_module", None)
                load(module)
                finish(name, module)

            loader.exec_module = exec_module
        except Exception:
            finish(name, None)
        return spec


finder = Finder()
if waiting:
    sys.meta_path.insert(0, finder)
