"""Django: /def/WAY and /async/WAY?id=.. work as parents_work.py says. `python parents_django.py runserver ADDRESS`, or by ASGI."""

import sys

import httpx
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path
from parents_work import BLOCKING, Async, trusted

settings.configure(SECRET_KEY="test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])


async def get(url: str) -> None:
    async with httpx.AsyncClient(verify=trusted) as client:
        await client.get(url)


ways = Async(get)


async def on_the_loop(request, way):
    await ways.run(way, request.META["QUERY_STRING"])
    return HttpResponse(way)


def in_a_thread(request, way):
    BLOCKING[way](request.META["QUERY_STRING"])
    return HttpResponse(way)


urlpatterns = [path("async/<way>", on_the_loop), path("def/<way>", in_a_thread)]

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
else:
    app = get_asgi_application()
