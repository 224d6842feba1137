"""The small app in Python, with the standard library alone: to-dos, a counter, sessions that end by themselves, and a live dashboard.

docs/small-app.md says how to run it. The environment has CAIRN_URL, DATABASE_ID and TOKEN.
"""
import argparse
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

try:
    BASE = f"{os.environ['CAIRN_URL']}/api/databases/{os.environ['DATABASE_ID']}/"
    TOKEN = os.environ["TOKEN"]
except KeyError as missing:
    sys.exit(f"Set {missing.args[0]}: docs/small-app.md says how.")
PREFIX = urllib.parse.quote('["app"]')


def request(path, method="GET", body=None, **headers):
    """The answer, to be read. Raises urllib.error.HTTPError for a status of 400 or more."""
    headers["Authorization"] = f"Bearer {TOKEN}"
    data = None if body is None else json.dumps(body).encode()
    # A watch is silent for 15 seconds at most.
    return urllib.request.urlopen(urllib.request.Request(BASE + path, data, headers, method=method), timeout=30)


def add(text):
    todo = str(uuid.uuid4())
    request(f"entries/app/todos/{todo}?values=plain", "PUT", {"text": text, "done": False})
    return todo


def done(todo):
    path = f"entries/app/todos/{urllib.parse.quote(todo, safe='')}?values=plain"
    while True:
        with request(path) as found:
            value = json.load(found)["value"]
            etag = found.headers["ETag"]
        try:
            # Only if nobody has changed it since it was read.
            request(path, "PUT", {**value, "done": True}, **{"If-Match": etag})
            return
        except urllib.error.HTTPError as error:
            if error.code != 412:
                raise


def visit():
    """Many programs count at the same time, and none of their visits is lost: the database adds."""
    one = {"type": "sum", "key": ["app", "counters", "visits"], "value": {"type": "KvU64", "value": "1"}}
    request("atomic", "POST", {"mutations": [one]})


def enter(name, seconds=60):
    """The session ends by itself."""
    path = f"entries/app/sessions/{uuid.uuid4()}?values=plain&expireIn={int(seconds * 1000)}"
    request(path, "PUT", {"name": name})


class State:
    """What is under ["app"], by key."""

    def __init__(self):
        self.entries = {}

    def take(self, changes):
        if changes.get("reset"):
            self.entries.clear()
        for entry in changes["entries"]:
            key = tuple(part["value"] for part in entry["key"])
            if entry["versionstamp"] is None:
                self.entries.pop(key, None)
            else:
                self.entries[key] = entry["value"]

    def of(self, kind):
        return {key[2]: value for key, value in self.entries.items() if key[1] == kind}

    def line(self):
        todos = self.of("todos").values()
        visits = self.of("counters").get("visits", {"value": "0"})["value"]
        here = ", ".join(sorted(session["name"] for session in self.of("sessions").values())) or "nobody"
        return f"{len(todos)} to-dos, {sum(todo['done'] for todo in todos)} done; {visits} visits; here: {here}"


def read():
    state, cursor = State(), ""
    while cursor is not None:
        path = f"entries?values=plain&limit=1000&prefix={PREFIX}"
        with request(path + (f"&cursor={cursor}" if cursor else "")) as answer:
            page = json.load(answer)
        state.take(page)
        cursor = page.get("cursor")
    return state


def watch():
    """Prints the dashboard whenever it changes. After a break it goes on from the event that it saw last."""
    state, seen = State(), None
    while True:
        try:
            headers = {} if seen is None else {"Last-Event-ID": seen}
            with request(f"watch?values=plain&prefix={PREFIX}", **headers) as events:
                for event, event_id, data in parsed(events):
                    if event == "error":
                        sys.exit(data)
                    state.take(json.loads(data))
                    seen = event_id or seen
                    print(state.line(), flush=True)
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(1)


def parsed(lines):
    """The Server-Sent Events in these lines: name, id and data of each."""
    fields = {}
    for line in lines:
        line = line.decode().rstrip("\r\n")
        name, _, value = line.partition(":")
        if line == "" and "data" in fields:
            yield fields.get("event", "message"), fields.get("id"), fields["data"]
        if line == "":
            fields = {}
        elif name:
            fields[name] = value.removeprefix(" ")


def show():
    for todo, value in read().of("todos").items():
        print(todo, "[x]" if value["done"] else "[ ]", value["text"])


def main():
    parser = argparse.ArgumentParser(description="To-dos, a counter, sessions and a dashboard in a Cairn database.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("add", help="add a to-do, and print its id").add_argument("text")
    commands.add_parser("done", help="mark a to-do as done").add_argument("todo")
    commands.add_parser("list", help="list the to-dos")
    commands.add_parser("visit", help="count a visit")
    entering = commands.add_parser("enter", help="be here for a while")
    entering.add_argument("name")
    entering.add_argument("seconds", nargs="?", type=float, default=60)
    commands.add_parser("watch", help="follow the dashboard")
    asked = vars(parser.parse_args())
    run = {"add": add, "done": done, "list": show, "visit": visit, "enter": enter, "watch": watch}[asked.pop("command")]
    try:
        said = run(**asked)
        if said is not None:
            print(said)
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.code} {json.load(error).get('detail')}")
    except KeyboardInterrupt:
        pass


main()
