"""Every address of the desk. Who may knock at which stands in doors/access.py; one that is not listed there is closed."""

from django.urls import path

from careline.doors import ready
from careline.doors.api import app
from careline.doors.web import (
    approvals,
    books,
    contact,
    find,
    guides,
    home,
    money,
    network,
    oops,
    papers,
    pastdue,
    people,
    rulebook,
    sandbox,
    signin,
    whatif,
    whomay,
)

urlpatterns = [
    path("", home.show, name="home"),
    path("sign-in", signin.SignIn.as_view(), name="signin"),
    path("sign-in/", signin.SignIn.as_view(), name="account_login"),
    path("sign-out", signin.sign_out, name="signout"),
    path("health", ready.health, name="health"),
    path("ready", ready.ready, name="ready"),
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
    path("contacts/<str:reference>/draft/<str:kind>/<int:about>", contact.draft, name="draft"),
    path("contacts/<str:reference>/money/", money.show, name="money"),
    path("contacts/<str:reference>/past-due/", pastdue.show, name="past-due"),
    path("past-due", pastdue.queue, name="past-due-queue"),
    path("past-due/what-if", whatif.show, name="what-if"),
    path("contacts/<str:reference>/papers/<int:paper_id>.pdf", papers.show, name="paper"),
    path("contacts/<str:reference>/papers/<int:paper_id>/part", papers.paper_part, name="paper-part"),
    path("contacts/<str:reference>/journal", contact.journal_page, name="journal"),
    path("requests/<int:request_id>/part", contact.request_part, name="request-part"),
    path("requests/<int:request_id>/away", contact.request_away, name="request-away"),
    path("approvals", approvals.inbox, name="approvals"),
    path("approvals/part", approvals.inbox_part, name="approvals-part"),
    path("approvals/<int:request_id>", approvals.show, name="approval"),
    path("network", network.show, name="network"),
    path("network/part", network.now_part, name="network-part"),
    path("guides", guides.show, name="guides"),
    path("guides/<str:guide_id>", guides.one, name="guide"),
    path("guides/<str:guide_id>/picture.svg", guides.picture, name="guide-picture"),
    path("books", books.show, name="books"),
    path("books/<str:number>.csv", books.file, name="books-file"),
    path("rulebook", rulebook.show, name="rulebook"),
    path("rulebook/who-may", whomay.show, name="who-may"),
    path("people", people.show, name="staff"),
    path("messages", sandbox.messages, name="messages"),
    path("messages/part", sandbox.messages_part, name="messages-part"),
    path("messages/<str:digest>.pdf", sandbox.attached, name="message-file"),
    path("ring", sandbox.ring, name="ring"),
    path("api/docs", app.docs, name="api-docs"),
    path("api/", app.api.urls),
    path("pay/<str:token>", sandbox.pay, name="pay"),
]

handler403 = oops.forbidden
handler404 = oops.not_found
handler500 = oops.broken
