# Run once inside the program, in a name space of its own. `routed(template)` tells the agent which route a framework's own
# router has matched, for the request of this context; `current()` is 0 where the context has none, and `serving(fd)` gives it
# what that socket has brought.
#
# Wrapped is the framework's function after which the match is known, not the program's routes. It has returned, or
# given its coroutine away, before the program's code runs: no frame of these lines is in the program's stack.
import functools
import sys


def tell(template, *known):
    try:
        route = template(*known)
        if route:
            routed(route)
    except Exception:
        pass


def when_matched(template, match):
    @functools.wraps(match)
    def inner(self, *args, **kwargs):
        found = match(self, *args, **kwargs)
        tell(template, self, found)
        return found

    return inner


def when_matched_later(template, match):
    @functools.wraps(match)
    async def inner(self, request, *args, **kwargs):
        found = await match(self, request, *args, **kwargs)
        tell(template, request, found)
        return found

    return inner


def before_handled(template, handle):
    @functools.wraps(handle)
    def inner(self, scope, *args, **kwargs):
        tell(template, self, scope)
        return handle(self, scope, *args, **kwargs)

    # What gives a coroutine away counts as what makes it: for `inspect` from 3.12 on, for `asyncio` before.
    mark = getattr(sys.modules.get("inspect"), "markcoroutinefunction", None)
    if mark:
        mark(inner)
    else:
        inner._is_coroutine = sys.modules["asyncio.coroutines"]._is_coroutine
    return inner


def of_flask(context, _):
    rule = context.request.url_rule
    return rule and rule.rule


def of_django(_, match):
    return match.route


def of_aiohttp(request, match):
    if not current():
        # On uvloop the context of a connection's task is made without its socket.
        serving(request.transport.get_extra_info("socket").fileno())
    resource = match.route.resource
    return resource and resource.canonical


def of_starlette(route, scope):
    return under_mounts(scope, route.path, route.param_convertors)


def of_fastapi(route, scope):
    # Newer versions do not copy a route where its router is included: what it is there stands in the scope.
    included = scope.get("fastapi", {}).get("effective_route_context")
    if included is not None and included.original_route is route:
        route = included
    return of_starlette(route, scope)


def under_mounts(scope, path, parameters):
    outside = scope.get("app_root_path")
    if outside is None:
        return path
    # What the mounts matched is in the scope as it came: their templates, where they have no parameters.
    mounts = scope["root_path"]
    if mounts.startswith(outside) and scope["path_params"].keys() == parameters.keys():
        return mounts[len(outside) :] + path
    return None


WRAPS = {
    "FLASK": {
        "flask.ctx": [
            ("RequestContext", "match_request", when_matched, of_flask),
            ("AppContext", "match_request", when_matched, of_flask),
        ],
    },
    "DJANGO": {
        "django.core.handlers.base": [("BaseHandler", "resolve_request", when_matched, of_django)],
    },
    "AIOHTTP_SERVER": {
        "aiohttp.web_urldispatcher": [("UrlDispatcher", "resolve", when_matched_later, of_aiohttp)],
    },
    "STARLETTE": {
        "fastapi.routing": [("APIRoute", "handle", before_handled, of_fastapi)],
        "starlette.routing": [
            ("Route", "handle", before_handled, of_starlette),
            ("WebSocketRoute", "handle", before_handled, of_starlette),
        ],
    },
}
