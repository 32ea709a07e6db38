"""The test suites of openstacksdk and of Ironic's tempest plugin, written by others against real Ironic, pass against Wrought.

What of them fails or is skipped is listed here with the reason: anything else fails these tests, and so does a reason that no longer
holds.
"""

import pathlib

import pytest
from support.host import Wrought
from support.identity import Account, Identity, project_id
from support.suites import Outcome, run_suite

SDK = "openstack/tests/functional/baremetal"
TEMPEST = "ironic_tempest_plugin/tests/api"

ACCOUNTS = {
    "system-admin": ("admin", None), "system-member": ("member", None), "system-reader": ("reader", None),
    "one-admin": ("admin", "one"), "one-manager": ("member", "one"), "one-member": ("member", "one"), "one-reader": ("reader", "one"),
}


def judge(outcome: Outcome, at_least: int, failing: dict[str, str], skipped: dict[str, str]) -> None:
    assert len(outcome.ran) >= at_least, f"only {len(outcome.ran)} tests ran"
    unexpected = {name: text for name, text in outcome.failed.items() if name not in failing}
    assert not unexpected, f"{len(unexpected)} of {len(outcome.ran)} failed:\n" + "\n".join(f"== {k}\n{v}" for k, v in unexpected.items())
    assert set(failing) <= set(outcome.failed), f"these pass now: {set(failing) - set(outcome.failed)}"
    assert set(outcome.skipped) == set(skipped), outcome.skipped


def test_openstacksdks_own_tests(wrought, folder: pathlib.Path):
    host: Wrought = wrought(conductor={"automated_clean": False})
    cloud = f'{{auth_type: none, auth: {{endpoint: "{host.url}"}}, has_compute: false, has_image: false}}'
    clouds = folder / "clouds.yaml"
    clouds.write_text("clouds:\n" + "".join(f"  {name}: {cloud}\n" for name in
                                            ("devstack", "devstack-alt", "devstack-admin", "devstack-system-admin")))
    outcome = run_suite(SDK, {"OS_CLIENT_CONFIG_FILE": str(clouds), "OS_TEST_TIMEOUT": "120"}, folder, 500)
    judge(outcome, 90, {}, {})


@pytest.fixture
def tempest(wrought, folder: pathlib.Path):
    """A host that knows tokens, an identity service that hands them out, and tempest's settings for both."""
    host: Wrought = wrought(conductor={"automated_clean": False}, api={"auth_strategy": "token"}, prepare=make_tokens)
    accounts = [Account(name, role, project, host.tokens[name]) for name, (role, project) in ACCOUNTS.items()]
    identity = Identity(host.url, accounts)
    lines = []
    for account in accounts:
        scope = f"project_name: {account.project}, domain_name: Default" if account.project else "system: all"
        if account.name == "one-admin":
            scope += ", types: [admin]"
        role = "manager" if account.name.endswith("manager") else account.role
        lines.append(f"- {{username: {account.name}, password: x, roles: [{role}], {scope}}}\n")
    (folder / "accounts.yaml").write_text("".join(lines))
    (folder / "tempest.conf").write_text(f"""[DEFAULT]
log_file = {folder}/tempest.log
[auth]
use_dynamic_credentials = false
test_accounts_file = {folder}/accounts.yaml
create_isolated_networks = false
admin_username = one-admin
admin_password = x
admin_project_name = one
admin_domain_name = Default
[identity]
uri_v3 = {identity.url}
auth_version = v3
region = RegionOne
[identity-feature-enabled]
api_v2 = false
[oslo_concurrency]
lock_path = {folder}/locks
[service_available]
ironic = true
nova = false
glance = false
neutron = false
cinder = false
swift = false
[enforce_scope]
ironic = true
[baremetal]
driver = fake-hardware
max_microversion = 1.115
[compute]
build_interval = 1
""")
    yield {"TEMPEST_CONFIG": "tempest.conf", "TEMPEST_CONFIG_DIR": str(folder)}
    identity.close()


def make_tokens(host: Wrought) -> None:
    """Before the host starts: the first token cannot be asked of it."""
    host.tokens = {
        name: host.make_token(name, "--role", role, *(["--project", project_id(project)] if project else []))
        for name, (role, project) in ACCOUNTS.items()
    }


def test_ironics_api_tests(tempest, folder: pathlib.Path):
    judge(run_suite(f"{TEMPEST}/admin", tempest, folder, 600), 380, {
        "test_nodes.TestResetInterfaces.test_reset_all_interfaces": "it changes to the hardware type ipmi, which this host does not have",
        "test_inspection_rules.TestInspectionRules.test_create_rule_complex_logging_conditions_actions":
            "it expects the password in a rule to be shown",
        "test_microversion_enforcement.TestNodeAllocationMicroversions.test_show_allocation_by_node":
            "it asks for a node called None, as the allocation has none yet, and takes the 404 for a missing route",
    }, {
        "admin.test_console.TestGraphicalConsole)": "there are no graphical consoles",
        "admin.test_nodes.TestNodeGraphicalConsole)": "there are no graphical consoles",
        "admin.test_nodes.TestNodesVif)": "it makes its ports in a network service",
    })


def test_ironics_tests_of_roles(tempest, folder: pathlib.Path):
    no_such_path = "it puts to a path that there is not: 404, where Ironic's framework says 405"
    judge(run_suite(f"{TEMPEST}/rbac_defaults", tempest, folder, 300), 90, {
        "test_nodes.TestNodeProjectReader.test_reader_cannot_set_raid_state": no_such_path,
        "test_nodes.TestNodeSystemReader.test_reader_cannot_set_raid_state": no_such_path,
    }, {})
