// Package export_baremetal_deploy_driver tells what the driver is. The generated glue knows packages of these names.
package export_baremetal_deploy_driver

import (
	"wit_component/baremetal_deploy_driver"
	"wit_component/baremetal_deploy_types"
	steps "wit_component/export_baremetal_deploy_deploy_steps"

	witTypes "go.bytecodealliance.org/pkg/wit/types"
)

func Describe() baremetal_deploy_driver.Description {
	return baremetal_deploy_driver.Description{
		Name:    "acme-greet",
		Version: "1.0.0",
		Vendor:  "ACME",
		Summary: "Greets a server and reports its answer; in Go.",
		Base:    witTypes.Some("fake"),
		Steps:   steps.Planned,
	}
}

func GetProperties() []baremetal_deploy_types.Property {
	return []baremetal_deploy_types.Property{{Name: "driver_info/greeter", Description: "The URL of the server to greet.", Required: true}}
}
