"""The WSGI application that `careline serve` runs."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "careline.settings")
# The server's threads have small stacks, and OpenBLAS, when it spreads a product over threads of its own, wants half a
# megabyte of one: it fell over. The diagnosis' matrices are small, and the other processors serve other pages.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
application = get_wsgi_application()
