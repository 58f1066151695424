"""Django: path and regular expression, an included list, a handler that raises. `python routes_django.py runserver ADDRESS`,
`routes_django:app` by ASGI, `routes_django:wsgi`."""

import asyncio
import sys
import time

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import include, path, re_path

settings.configure(SECRET_KEY="test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])


def answer(request, **parameters):
    time.sleep(float(request.GET.get("delay", 0)) / 1000)
    return HttpResponse(str(parameters))


async def on_the_loop(request, **parameters):
    await asyncio.sleep(float(request.GET.get("delay", 0)) / 1000)
    return HttpResponse(str(parameters))


def fail(request, what):
    raise ValueError(what)


orders = [path("<int:order>/items/<slug:item>/", answer)]
urlpatterns = [
    path("user/<int:id>/", answer),
    path("async/<int:id>/", on_the_loop),
    re_path(r"^page/(?P<page>\d+)$", answer),
    path("raise/<what>", fail),
    path("orders/", include(orders)),
]

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
else:
    app, wsgi = get_asgi_application(), get_wsgi_application()
