"""The least of an identity service that the clients' own test suites log in at: it hands out tokens that the host knows already.

It checks no password: what a caller may do is decided by the host, which gets the token and nothing else.
"""

import dataclasses
import http.server
import json
import threading
import uuid

EXPIRY = "2099-01-01T00:00:00.000000Z"


@dataclasses.dataclass(frozen=True)
class Account:
    """A user of the suites: its role, its project (nothing for the whole system), and the host's token for it."""

    name: str
    role: str
    project: str | None
    token: str

    def project_id(self) -> str | None:
        return self.project and project_id(self.project)


def project_id(name: str) -> str:
    """What the identity service calls a project, and so the host."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, name).hex


class Identity:
    """Serves until `close`."""

    def __init__(self, api_url: str, accounts: list[Account]):
        self.accounts = {account.name: account for account in accounts}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status: int, body: object, **headers: str) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                self.answer(200, {"version": {"id": "v3.14", "status": "stable", "media-types": [],
                                              "links": [{"rel": "self", "href": f"{outer.url}/"}]}})

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                account = outer.accounts[asked["auth"]["identity"]["password"]["user"]["name"]]
                self.answer(201, {"token": outer.document(api_url, account)}, X_Subject_Token=account.token)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v3"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def document(self, api_url: str, account: Account) -> dict:
        """What a token says of its owner, with the catalogue of services."""
        domain = {"id": "default", "name": "Default"}

        def service(kind: str, name: str, url: str) -> dict:
            endpoints = [{"id": f"{name}-{interface}", "interface": interface, "region": "RegionOne", "region_id": "RegionOne", "url": url}
                         for interface in ("public", "internal", "admin")]
            return {"type": kind, "name": name, "id": name, "endpoints": endpoints}

        scope: dict = {"system": {"all": True}}
        if account.project:
            scope = {"project": {"id": account.project_id(), "name": account.project, "domain": domain}}
        return {
            "methods": ["password"], "expires_at": EXPIRY, "issued_at": "2020-01-01T00:00:00.000000Z", "audit_ids": [account.name],
            "user": {"id": account.name, "name": account.name, "domain": domain},
            "roles": [{"id": account.role, "name": account.role}],
            "catalog": [service("baremetal", "ironic", api_url), service("identity", "keystone", self.url)],
            **scope,
        }
