"""The least of an Ironic API that an agent works with: look-up and heartbeat, nothing checked.

It proves the sandbox without the product: when the agent works here and not with Wrought, the sandbox is not to blame.
"""

import http.server
import json
import pathlib
import threading
import urllib.parse

import requests

TOKEN = "a-token-of-at-least-thirty-two-characters"


class FakeIronic:
    """Serves until `close`. `image` is served under `/image.raw`."""

    def __init__(self, node: dict, folder: pathlib.Path, image: pathlib.Path):
        self.node, self.folder, self.image = node, folder, image
        self.lookups: list[dict] = []
        self.heartbeats: list[dict] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, status: int, body: object = None) -> None:
                data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                url = urllib.parse.urlsplit(self.path)
                if url.path in ("/", "/v1", "/v1/"):
                    self.answer(200, {"default_version": {"id": "v1", "version": "1.115", "min_version": "1.1", "status": "CURRENT"}})
                elif url.path == "/v1/lookup":
                    outer.lookups.append({**dict(urllib.parse.parse_qsl(url.query)), "version": self.headers["X-OpenStack-Ironic-API-Version"]})
                    self.answer(200, {"node": outer.node, "config": {"heartbeat_timeout": 300, "agent_token": TOKEN}})
                elif url.path == "/image.raw":
                    self.answer(200, outer.image.read_bytes())
                else:
                    self.answer(404)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.heartbeats.append(json.loads(body))
                self.answer(202)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def certificate(self) -> pathlib.Path:
        """The certificate that the agent sent with its heartbeat."""
        path = self.folder / "agent.crt"
        path.write_text(self.heartbeats[-1]["agent_verify_ca"])
        return path

    def command(self, name: str, params: dict, wait: bool) -> dict:
        """Sends a command to the agent, over TLS verified with its own certificate."""
        answer = requests.post(
            f"{self.heartbeats[-1]['callback_url']}/v1/commands/", params={"wait": str(wait).lower(), "agent_token": TOKEN},
            json={"name": name, "params": params}, verify=str(self.certificate()), timeout=60)
        answer.raise_for_status()
        return answer.json()

    def commands(self) -> list[dict]:
        answer = requests.get(f"{self.heartbeats[-1]['callback_url']}/v1/commands/", params={"agent_token": TOKEN},
                              verify=str(self.certificate()), timeout=60)
        answer.raise_for_status()
        return answer.json()["commands"]
