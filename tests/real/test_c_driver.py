"""A driver written in C, which adds a step to the deployments of `direct`."""

import pytest
from support.drivers import build_c


def test_deploys(folder, wrought, simulator):
    component = build_c(folder)
    host = wrought(conductor={"automated_clean": False})
    fleet = simulator(host.url, 1)

    host.cli("driver", "push", "acme-settle", str(component))
    with pytest.raises(AssertionError, match="power"):
        host.cli("driver", "activate", "acme-settle", "--grant", "agent")
    host.cli("driver", "activate", "acme-settle", "--grant", "agent,power")
    assert "acme-settle" in host.cli("driver", "list")

    host.enroll("c-1", "redfish", fleet.driver_info(0), fleet.node(0)["mac"], deploy_interface="acme-settle")
    host.set_instance("c-1", fleet.image())
    host.provision("c-1", "manage", "manageable")
    host.provision("c-1", "provide", "available")
    node = host.provision("c-1", "active", "active")

    assert node["deploy_interface"] == "acme-settle"
    assert fleet.counts(0)["image_writes"] == 1
    # The step's second call says so after it found the agent and the state that its first call left.
    assert "settled" in host.log.read_text()
