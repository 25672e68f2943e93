"""The WSGI application that `careline serve` runs."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "careline.settings")
# The server's threads have small stacks, and OpenBLAS, when it spreads a product over threads of its own, wants half a
# megabyte of one: it fell over. The diagnosis' matrices are small, and the other processors serve other pages.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
application = get_wsgi_application()
# What is loaded stays: the collector need not look at it again, nor as often as a small program wants it. A tenth of a page's time.
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 20, 20)
