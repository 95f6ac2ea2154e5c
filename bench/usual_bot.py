"""The bot most people would write: sync Bolt behind Flask and gunicorn, requests and SQLAlchemy in the handler."""

import os
from typing import Any

import requests
from flask import Flask, Response, request
from slack_bolt import App
from slack_bolt.adapter.flask import SlackRequestHandler
from slack_sdk import WebClient
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bench.people import PEOPLE

SIFT = os.environ["SIFT_REST_URI"]
HEADERS = {"Authorization": f"Bearer {os.environ['SIFT_API_KEY']}"}


class Base(DeclarativeBase):
    """The usual declarative base."""


class Allowed(Base):
    """Who may retry."""

    __tablename__ = "allowed"
    user_id: Mapped[str] = mapped_column(primary_key=True)


class Log(Base):
    """Who retried what."""

    __tablename__ = "log"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    job_id: Mapped[str]
    status: Mapped[str]


engine = create_engine(os.environ["USUAL_DATABASE_URL"])
Base.metadata.create_all(engine)
with Session(engine) as setup:
    for person in PEOPLE:
        setup.merge(Allowed(user_id=person))
    setup.commit()
engine.dispose()  # gunicorn forks after this, and a connection must not be shared

client = WebClient(token=os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"])
app = App(client=client, signing_secret=os.environ["SLACK_SIGNING_SECRET"])


@app.command("/sift-retry")
def retry(ack: Any, command: dict[str, str], client: WebClient) -> None:
    """Acknowledges, checks, retries, tells, and writes it down."""
    ack()
    job_id, user_id, channel = command["text"].strip(), command["user_id"], command["channel_id"]
    with Session(engine) as session:
        if session.scalar(select(Allowed).where(Allowed.user_id == user_id)) is None:
            client.chat_postEphemeral(channel=channel, user=user_id, text="You may not do that.")
            return
        query = {"filter": f"job_id in ['{job_id}']"}
        jobs = requests.get(f"{SIFT}/api/v1/jobs", params=query, headers=HEADERS, timeout=10).json()["jobs"]
        answer = requests.post(f"{SIFT}/api/v1/jobs/{job_id}:retry", headers=HEADERS, timeout=10).json()
        status = answer.get("job", jobs[0])["jobStatus"]
        posted = client.chat_postMessage(channel=channel, text=f"<@{user_id}> is retrying `{job_id}`")
        client.chat_postMessage(channel=channel, thread_ts=posted["ts"], text=f"Status: {status}")
        session.add(Log(user_id=user_id, job_id=job_id, status=status))
        session.commit()


flask_app = Flask(__name__)
handler = SlackRequestHandler(app)


@flask_app.post("/slack/events")
def events() -> Response:
    """Hands Slack's requests to Bolt."""
    return handler.handle(request)


@flask_app.get("/healthz")
def healthz() -> str:
    """Says that it runs."""
    return "ok"
