"""A driver written in JavaScript, which deploys by itself and leaves cleaning to `direct`."""

from support.drivers import build_js


def test_deploys_and_cleans(folder, wrought, simulator):
    component = build_js(folder)
    host = wrought(conductor={"automated_clean": True})
    fleet = simulator(host.url, 1)

    driver = host.activate("acme-plain", component, "agent", "boot", "image", "power")
    assert driver["name"] == "acme-plain"

    host.enroll("js-1", "redfish", fleet.driver_info(0), fleet.node(0)["mac"], deploy_interface="acme-plain")
    host.set_instance("js-1", fleet.image())
    host.provision("js-1", "manage", "manageable")
    host.provision("js-1", "provide", "available")
    assert fleet.counts(0)["clean_steps"] == 2
    host.provision("js-1", "active", "active")
    assert fleet.counts(0)["image_writes"] == 1
    assert fleet.node(0)["power_state"].lower() == "on"
    assert fleet.node(0)["media"] is None

    host.provision("js-1", "deleted", "available")
    assert fleet.counts(0)["clean_steps"] == 4
    assert fleet.counts(0)["image_writes"] == 1
    assert fleet.node(0)["power_state"].lower() == "off"
