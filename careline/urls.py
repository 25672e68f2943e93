"""Every address of the desk. Who may knock at which stands in doors/access.py; one that is not listed there is closed."""

from django.urls import path

from careline.doors.api import app
from careline.doors.web import approvals, contact, find, home, oops, people, sandbox, signin

urlpatterns = [
    path("", home.show, name="home"),
    path("sign-in", signin.SignIn.as_view(), name="signin"),
    path("sign-in/", signin.SignIn.as_view(), name="account_login"),
    path("sign-out", signin.sign_out, name="signout"),
    path("health", oops.health, name="health"),
    path("find", find.show, name="find"),
    path("start", home.start, name="start"),
    path("start/admission", home.start_admission, name="start-admission"),
    path("answer", home.answer, name="answer"),
    path("ringing", home.ringing, name="ringing"),
    path("follow-ups/<int:follow_up_id>", home.follow_up, name="follow-up"),
    path("answers-seen", home.answers_seen, name="answers-seen"),
    path("preferences", home.preferences, name="preferences"),
    path("me", home.me, name="preferences-page"),
    path("contacts/<str:reference>/", contact.show, name="contact"),
    path("contacts/<str:reference>/do/<str:code>", contact.do, name="contact-do"),
    path("contacts/<str:reference>/draft", contact.draft, name="draft"),
    path("contacts/<str:reference>/journal", contact.journal_page, name="journal"),
    path("requests/<int:request_id>/part", contact.request_part, name="request-part"),
    path("approvals", approvals.inbox, name="approvals"),
    path("approvals/part", approvals.inbox_part, name="approvals-part"),
    path("approvals/<int:request_id>", approvals.show, name="approval"),
    path("people", people.show, name="staff"),
    path("messages", sandbox.messages, name="messages"),
    path("messages/part", sandbox.messages_part, name="messages-part"),
    path("ring", sandbox.ring, name="ring"),
    path("api/docs", app.docs, name="api-docs"),
    path("api/", app.api.urls),
    path("pay/<str:token>", sandbox.pay, name="pay"),
]

handler403 = oops.forbidden
handler404 = oops.not_found
handler500 = oops.broken
