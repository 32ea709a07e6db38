"""openstacksdk, from the enrolment of a node to its removal."""

import openstack
import pytest
from openstack import exceptions

SECONDS = 120


def test_a_nodes_life(wrought, simulator):
    host = wrought(conductor={"automated_clean": True})
    fleet = simulator(host.url, 1)
    cloud = openstack.connect(load_yaml_config=False, load_envvars=False, auth_type="none", auth={"endpoint": host.url})
    baremetal = cloud.baremetal

    assert {"fake-hardware", "redfish"} <= {driver.name for driver in baremetal.drivers()}
    node = baremetal.create_node(name="sdk-1", driver="redfish", driver_info=fleet.driver_info(0), resource_class="small")
    baremetal.create_port(node_uuid=node.id, address=fleet.node(0)["mac"])
    assert [port.address for port in baremetal.ports(node=node.id)] == [fleet.node(0)["mac"]]

    def provision(verb: str, state: str, **arguments: object):
        reached = baremetal.set_node_provision_state(node.id, verb, wait=True, timeout=SECONDS, **arguments)
        assert reached.provision_state == state
        return reached

    provision("manage", "manageable")
    provision("provide", "available")
    baremetal.update_node(node.id, instance_info=fleet.image(), extra={"rack": "7"})
    assert baremetal.validate_node(node.id, required=("boot", "deploy", "power"))["deploy"].result
    provision("active", "active", config_drive={"meta_data": {"hostname": "sdk-1"}})
    assert fleet.counts(0)["image_writes"] == 1

    assert [found.name for found in baremetal.nodes(details=True, provision_state="active")] == ["sdk-1"]
    baremetal.set_node_power_state(node.id, "power off", wait=True, timeout=SECONDS)
    assert fleet.node(0)["power_state"].lower() == "off"
    baremetal.set_node_maintenance(node.id, "a fan")
    assert baremetal.get_node(node.id).maintenance_reason == "a fan"
    baremetal.unset_node_maintenance(node.id)

    provision("deleted", "available")
    assert fleet.counts(0)["clean_steps"] == 4
    baremetal.delete_node(node.id)
    with pytest.raises(exceptions.NotFoundException):
        baremetal.get_node("sdk-1")
