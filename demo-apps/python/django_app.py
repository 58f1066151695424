"""Django in one file: `python django_app.py runserver 127.0.0.1:8000`."""

import os
import sys
import time

import requests
from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.urls import path

settings.configure(
    DEBUG=True,
    SECRET_KEY="demo",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
)
UPSTREAM = os.environ.get("UPSTREAM", "http://127.0.0.1:5001")


def hello(request):
    return HttpResponse("hello from django\n", content_type="text/plain")


def fetch(request):
    reply = requests.get(f"{UPSTREAM}/echo", params=request.GET)
    return JsonResponse({"id": request.GET.get("id"), "upstream": reply.json()})


def echo(request):
    time.sleep(int(request.GET.get("delay", 0)) / 1000)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return JsonResponse({"id": request.GET.get("id"), "headers": headers})


urlpatterns = [path("", hello), path("fetch", fetch), path("echo", echo)]

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
