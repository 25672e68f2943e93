"""Sign-in and sign-out: allauth checks passwords and throttles across workers; the page and the journal are ours."""

from __future__ import annotations

import uuid
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.views import LoginView, LogoutView
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from careline.acts.perform import perform


class Adapter(DefaultAccountAdapter):
    """Nobody signs up here; administrators add people."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False


class SignIn(LoginView):
    template_name = "signin.html"

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        if self.request.user.is_authenticated:
            perform("staff.sign_in", {}, who=self.request.user.who, key=uuid.uuid4().hex)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        form = context["form"]
        errors = [str(e) for e in form.non_field_errors()] + [
            str(e) for field in form.errors if field != "__all__" for e in form.errors[field]
        ]
        return context | {
            "error": " ".join(errors) or None,
            "username": form.data.get("login", "") if form.is_bound else "",
            "next": self.request.GET.get("next", ""),
            "demo": settings.DEMO,
        }


def sign_out(request: HttpRequest) -> HttpResponse:
    if request.method == "POST" and request.user.is_authenticated:
        perform("staff.sign_out", {}, who=request.user.who, key=uuid.uuid4().hex)
        return LogoutView.as_view()(request)
    return redirect("home")
