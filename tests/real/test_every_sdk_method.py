"""Every method of openstacksdk's `baremetal` proxy does what it says, at the SDK's own versions."""

import inspect

import openstack
import pytest
from openstack import exceptions, proxy
from openstack.baremetal.v1 import _proxy
from support.process import wait_until

SECONDS = 60


class Recorder:
    """The proxy, and which of its methods were called."""

    def __init__(self, baremetal: _proxy.Proxy):
        self.baremetal, self.used = baremetal, set()

    def __getattr__(self, name: str):
        self.used.add(name)
        return getattr(self.baremetal, name)

    @staticmethod
    def all_methods() -> set[str]:
        """Its public methods, but for those that every service has."""
        return {name for name, _ in inspect.getmembers(_proxy.Proxy, inspect.isfunction)
                if not name.startswith("_") and getattr(proxy.Proxy, name, None) is not getattr(_proxy.Proxy, name)}


def crud(baremetal: Recorder, one: str, many: str, changed: dict, finds: bool = True, **attributes: object) -> object:
    """Creates, finds, reads, lists and changes a resource, in each way that there is; answers it."""
    made = getattr(baremetal, f"create_{one}")(**attributes)
    assert getattr(baremetal, f"get_{one}")(made.id).id == made.id
    if finds:
        assert getattr(baremetal, f"find_{one}")(made.id).id == made.id
        assert getattr(baremetal, f"find_{one}")("00000000-0000-4000-8000-000000000000") is None
    for options in ({}, {"details": True}):
        assert made.id in [found.id for found in getattr(baremetal, many)(**options)], (many, options)
    (field, value), = changed.items()
    assert getattr(getattr(baremetal, f"update_{one}")(made.id, **changed), field) == value
    fresh = getattr(baremetal, f"get_{one}")(made.id)
    patched = getattr(baremetal, f"patch_{one}")(fresh, [{"op": "add", "path": f"/{field}", "value": value}])
    assert getattr(patched, field) == value
    return getattr(baremetal, f"get_{one}")(made.id)


def test_every_method(wrought):
    host = wrought(conductor={"automated_clean": False})
    cloud = openstack.connect(load_yaml_config=False, load_envvars=False, auth_type="none", auth={"endpoint": host.url})
    baremetal = Recorder(cloud.baremetal)

    chassis = crud(baremetal, "chassis", "chassis", {"description": "row 2"}, description="row 1")
    node = crud(baremetal, "node", "nodes", {"extra": {"rack": "7"}}, name="s1", driver="fake-hardware", network_interface="flat",
                chassis_id=chassis.id, resource_class="tiny")
    group = crud(baremetal, "port_group", "port_groups", {"extra": {"a": "b"}}, node_uuid=node.id, name="bond", address="52:54:00:00:00:01")
    port = crud(baremetal, "port", "ports", {"extra": {"a": "b"}}, node_uuid=node.id, address="52:54:00:00:00:02")
    baremetal.set_node_power_state(node, "power off", wait=True, timeout=SECONDS)
    assert baremetal.wait_for_node_power_state(node, "power off", timeout=SECONDS).power_state == "power off"
    baremetal.wait_for_node_reservation(node, timeout=SECONDS)
    connector = crud(baremetal, "volume_connector", "volume_connectors", {"extra": {"a": "b"}}, node_uuid=node.id, type="iqn",
                     connector_id="iqn.2026-11.example:s1")
    target = crud(baremetal, "volume_target", "volume_targets", {"extra": {"a": "b"}}, node_uuid=node.id, volume_type="iscsi",
                  boot_index=0, volume_id="v1")
    steps = [{"interface": "bios", "step": "factory_reset", "args": {}, "priority": 50}]
    template = crud(baremetal, "deploy_template", "deploy_templates", {"extra": {"a": "b"}}, name="CUSTOM_T", steps=steps)
    steps = [{"interface": "bios", "step": "factory_reset", "args": {}, "order": 1}]
    book = crud(baremetal, "runbook", "runbooks", {"extra": {"a": "b"}}, finds=False, name="book", steps=steps)
    actions = [{"op": "set-attribute", "args": {"path": "/extra/rack", "value": 7}}]
    rule = crud(baremetal, "inspection_rule", "inspection_rules", {"description": "D"}, finds=False, actions=actions)

    assert [driver.name for driver in baremetal.drivers(details=True)] == ["fake-hardware", "redfish"]
    assert baremetal.get_driver("fake-hardware").default_deploy_interface == "fake"
    assert isinstance(baremetal.list_driver_vendor_passthru("fake-hardware"), dict)
    with pytest.raises(exceptions.HttpException):
        baremetal.call_driver_vendor_passthru("fake-hardware", "POST", "no-such-method")
    (conductor,) = baremetal.conductors(details=True)
    assert baremetal.get_conductor(conductor.hostname).drivers == ["fake-hardware", "redfish"]

    baremetal.set_node_traits(node, ["CUSTOM_A"])
    baremetal.add_node_trait(node, "CUSTOM_B")
    assert baremetal.remove_node_trait(node, "CUSTOM_A") is True
    assert baremetal.get_node(node.id).traits == ["CUSTOM_B"]
    baremetal.set_runbook_traits(book, ["CUSTOM_A"])
    baremetal.add_runbook_trait(book, "CUSTOM_B")
    baremetal.remove_runbook_trait(book, "CUSTOM_A")
    baremetal.set_node_maintenance(node, "a fan")
    baremetal.unset_node_maintenance(node)

    baremetal.attach_vif_to_node(node, "vif-1", port=port.id)
    assert baremetal.list_node_vifs(node) == ["vif-1"]
    assert baremetal.detach_vif_from_node(node, "vif-1") is True
    assert baremetal.detach_vif_from_node(node, "vif-1") is False
    baremetal.set_node_boot_device(node, "disk", persistent=True)
    assert baremetal.get_node_boot_device(node)["boot_device"] == "disk"
    assert "pxe" in baremetal.get_node_supported_boot_devices(node)["supported_boot_devices"]

    def free() -> None:
        baremetal.wait_for_node_reservation(node, timeout=SECONDS)

    baremetal.set_node_boot_mode(node, "uefi")
    free()
    baremetal.set_node_secure_boot(node, True)
    free()
    assert (baremetal.get_node(node.id).boot_mode, baremetal.get_node(node.id).is_secure_boot) == ("uefi", True)
    baremetal.inject_nmi_to_node(node)
    baremetal.enable_node_console(node)
    wait_until("the console", lambda: baremetal.get_node_console(node)["console_enabled"], SECONDS)
    baremetal.disable_node_console(node)
    free()
    baremetal.attach_vmedia_to_node(node, "cdrom", "http://192.0.2.1/image.iso")
    baremetal.detach_vmedia_from_node(node, ["cdrom"])
    assert "second_method" in baremetal.list_node_vendor_passthru(node)
    assert baremetal.call_node_vendor_passthru(node, "POST", "second_method", {"bar": "ok"}).status_code in (200, 202)
    free()
    baremetal.list_node_firmware(node)

    baremetal.set_node_provision_state(node, "manage", wait=True, timeout=SECONDS)
    baremetal.set_node_provision_state(node, "inspect", wait=True, timeout=SECONDS)
    try:
        baremetal.get_node_inventory(node)
    except exceptions.NotFoundException:
        pass
    baremetal.set_node_provision_state(node, "provide", wait=True, timeout=SECONDS)
    assert baremetal.wait_for_nodes_provision_state([node.id], "available", timeout=SECONDS)[0].id == node.id
    assert baremetal.validate_node(node, required=("boot", "power"))["power"].result is True
    allocation = baremetal.create_allocation(name="mine", resource_class="tiny", extra={"a": "b"})
    assert baremetal.wait_for_allocation(allocation, timeout=SECONDS).node_id == node.id
    assert [found.id for found in baremetal.allocations()] == [baremetal.get_allocation("mine").id]
    assert baremetal.update_allocation(allocation.id, extra={"c": "d"}).extra == {"c": "d"}
    assert baremetal.patch_allocation(baremetal.get_allocation("mine"), [{"op": "remove", "path": "/extra/c"}]).extra == {}
    baremetal.delete_allocation("mine")

    gone = [("inspection_rule", rule), ("runbook", book), ("deploy_template", template), ("volume_target", target),
            ("volume_connector", connector), ("port", port), ("port_group", group), ("node", node), ("chassis", chassis)]
    for one, made in gone:
        getattr(baremetal, f"delete_{one}")(made.id, ignore_missing=False)
        with pytest.raises(exceptions.NotFoundException):
            getattr(baremetal, f"get_{one}")(made.id)
    # The two that wait for any resource ask nothing of their own.
    assert Recorder.all_methods() - baremetal.used == {"wait_for_delete", "wait_for_status"}
