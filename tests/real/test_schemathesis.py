"""The host keeps to the document of its API, whatever is sent: requests that schemathesis makes of the document.

The machines are fake, so that every verb does something. Path parameters name what is there as well as what is not.
"""

import json
import pathlib
import subprocess

import requests
from support.process import CACHE

SEED = 20260101
CASES = 2000
SLOWEST_SECONDS = 5
CHECKS = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
          "response_schema_conformance", "allow_header_conformance", "unsupported_method"]
NOBODY = "0b5e55ed-1ab0-4000-8000-00000000c0de"


def fill(host) -> dict[str, list[str]]:
    """Something of each kind; answers what may stand in paths."""
    def make(path: str, **body: object) -> str:
        return host.request("POST", f"/v1/{path}", body)["uuid"]

    nodes = [make("nodes", name=f"fake-{n}", driver="fake-hardware", resource_class="fake") for n in range(6)]
    gone = [make("nodes", name=f"gone-{n}", driver="fake-hardware") for n in range(2)]
    for name in ["fake-1", "fake-2", "fake-3"]:
        host.provision(name, "manage", "manageable")
    host.provision("fake-2", "provide", "available")
    ports = [make("ports", node_uuid=node, address=f"52:54:00:00:00:{n:02x}") for n, node in enumerate(nodes)]
    names = {
        "node": [*nodes, "fake-1", "fake-2"],
        "gone": gone,
        "port": ports,
        "chassis": [make("chassis", description="a rack")],
        "portgroup": [make("portgroups", node_uuid=nodes[0], name="group")],
        "connector": [make("volume/connectors", node_uuid=nodes[0], type="iqn", connector_id="iqn.2026-01.test:a")],
        "target": [make("volume/targets", node_uuid=nodes[0], volume_type="iscsi", boot_index=0, volume_id="volume")],
        "allocation": [make("allocations", name="want", resource_class="none")],
        "template": [make("deploy_templates", name="CUSTOM_T", steps=[{"interface": "bios", "step": "apply", "args": {}, "priority": 5}])],
        "runbook": [make("runbooks", name="CUSTOM_R", steps=[{"interface": "bios", "step": "apply", "args": {}, "order": 1}])],
        "driver": ["fake-hardware", "redfish"],
        "name": ["fake", "nobody"],
        "trait": ["CUSTOM_A", "HW_CPU_X86_VMX", "no trait"],
        "hostname": [host.request("GET", "/v1/conductors")["conductors"][0]["hostname"]],
    }
    return {name: [*known, NOBODY] for name, known in names.items()}


def likely(nodes: list[str]) -> dict[str, dict]:
    """What makes a body that the host may take, by the names of its keys."""
    def one_of(*values: object) -> dict:
        return {"enum": list(values)}

    text = {"type": "string", "pattern": "^[a-z0-9]{1,12}$"}
    return {
        "driver": one_of("fake-hardware", "fake-hardware", "redfish"), "node_uuid": one_of(*nodes), "node_ident": one_of("fake-0"),
        "node": one_of(None), "address": {"type": "string", "pattern": "^52(:[0-9a-f]{2}){5}$"},
        "name": {"type": "string", "pattern": "^CUSTOM_[A-Z0-9]{4,12}$"}, "uuid": one_of(None), "parent_node": one_of(None),
        "chassis_uuid": one_of(None), "portgroup_uuid": one_of(None), "instance_uuid": one_of(None), "network_data": one_of({}),
        "protected": one_of(False), "retired_reason": one_of(None), "interface": one_of("bios", "raid", "deploy"), "step": text,
        "type": one_of("iqn", "wwpn"), "candidate_nodes": one_of(None, nodes[:1]), "local_link_connection": one_of({}),
        "phase": one_of("main"), "mode": one_of("active-backup", "802.3ad"), "traits": one_of([], ["CUSTOM_A"]),
        "op": one_of("fail", "set-attribute"), "boot_device": one_of("pxe", "disk"), "public": one_of(False), "properties": one_of({}),
        "role": one_of("reader"), "resource_class": one_of("fake", "small"), "owner": one_of(None, "somebody"),
        "limit_child_node_execution": one_of(None), "configdrive": one_of({"meta_data": {}}),
        "boot_index": {"type": "integer", "minimum": 0, "maximum": 9999},
    }


def properties(schema: object):
    """Each table of properties in a schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield schema["properties"]
        for value in schema.values():
            yield from properties(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from properties(value)


def narrowed(document: dict, known: dict[str, list[str]]) -> dict:
    """The document with what is there in its paths; nothing that others need is deleted, and nothing waits for events."""
    version = document["components"]["parameters"]["Version"]
    version["required"] = True
    version["schema"] = {"type": "string", "enum": ["1.115", "1.109", "1.72", "1.1", "latest"]}
    wanted = likely(known["node"][:6])
    bodies = [operation.get("requestBody") for methods in document["paths"].values() for operation in methods.values()]
    for table in properties([bodies, document["components"]["schemas"]["Step"], document["components"]["schemas"]["Clause"]]):
        for name in table:
            if name in wanted:
                table[name] = wanted[name]
            elif name.endswith("_interface"):
                table[name] = {"enum": [None]}
    step = {"interface": "bios", "step": "apply", "args": {}}
    for path, place in [("/v1/deploy_templates", "priority"), ("/v1/runbooks", "order")]:
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
        body["steps"] = {"enum": [[step | {place: 1}], [step | {place: 2}, step | {"interface": "raid", place: 1}]]}
    for methods in document["paths"].values():
        body = methods.get("patch", {}).get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        if "x-paths" in body:
            body["items"] = {"type": "object", "required": ["op", "path", "value"], "properties": {
                "op": {"enum": ["add", "replace", "remove"]}, "path": {"enum": [*body["x-paths"], "/extra/a", "/extra/a~1b"]},
                "value": {"enum": [None, {}, "CUSTOM_TEXT", True, 7, []]},
            }}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            ends = method == "delete" and path.endswith("}") and path.count("{") == 1
            for parameter in operation["parameters"]:
                name = parameter.get("name")
                if parameter.get("in") == "path" and name in known:
                    parameter["schema"] = {"type": "string", "enum": known["gone"] if ends else known[name]}
                if name == "wait":
                    parameter["schema"] = {"type": "integer", "enum": [0, 1]}
    return document


def test_the_api_keeps_to_its_document(wrought, folder: pathlib.Path):
    host = wrought(conductor={"automated_clean": False})
    known = fill(host)
    document = requests.get(f"{host.url}/openapi.json", timeout=30)
    document.raise_for_status()
    narrow = folder / "openapi.json"
    narrow.write_text(json.dumps(narrowed(document.json(), known)))
    report = folder / "report.json"
    done = subprocess.run(
        [CACHE / "schemathesis-venv" / "bin" / "schemathesis", "run", narrow, "--url", host.url, "--checks", ",".join(CHECKS),
         "--seed", str(SEED), "--phases", "coverage,fuzzing", "--max-examples", "6", "--workers", "2", "--continue-on-failure",
         "--no-shrink", "--generation-database", "none",
         "--max-response-time", str(SLOWEST_SECONDS), "--suppress-health-check", "all", "--request-timeout", "30", "--no-color",
         "--report", "json", "--report-json-path", report],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
    )
    (folder / "schemathesis.log").write_text(done.stdout)
    assert host.alive(), "the host is gone"
    assert "panicked" not in host.log.read_text(errors="replace")
    assert done.returncode == 0, done.stdout[-20000:]
    counted = json.loads(report.read_text())
    assert counted["test_cases"]["generated"] >= CASES, counted["test_cases"]
    assert counted["operations"]["tested"] == counted["operations"]["total"], counted["operations"]
    # Not all of it is refused: what is made is made.
    for made in ["nodes", "ports", "portgroups", "chassis", "allocations", "deploy_templates", "runbooks", "volume/connectors",
                 "volume/targets"]:
        rates = counted["valid_rates"][f"POST /v1/{made}"]
        assert sum(phase["accepted"] for phase in rates.values()) > 0, (made, rates)
