// Package export_baremetal_deploy_deploy_steps greets a server and reports the answer; in Go.
package export_baremetal_deploy_deploy_steps

import (
	"encoding/json"

	events "wit_component/baremetal_deploy_events"
	http "wit_component/baremetal_deploy_http"
	log "wit_component/baremetal_deploy_log"
	report "wit_component/baremetal_deploy_report"
	state "wit_component/baremetal_deploy_state"
	task "wit_component/baremetal_deploy_task"
	"wit_component/baremetal_deploy_types"
	wait "wit_component/baremetal_deploy_wait"

	witTypes "go.bytecodealliance.org/pkg/wit/types"
)

type (
	deployError = baremetal_deploy_types.Error
	outcome     = witTypes.Result[baremetal_deploy_types.Outcome, deployError]
)

const nodeKey = "node"

// Planned are the driver's steps.
var Planned = []baremetal_deploy_types.Step{{Interface: "vendor", Step: "greet", Priority: 70}}

func done(what baremetal_deploy_types.Outcome) outcome {
	return witTypes.Ok[baremetal_deploy_types.Outcome, deployError](what)
}

func failed(err deployError) outcome {
	return witTypes.Err[baremetal_deploy_types.Outcome](err)
}

func failure(kind baremetal_deploy_types.ErrorKind, code, message string) outcome {
	return failed(deployError{Kind: kind, Code: "acme." + code, Message: message})
}

func aSecond() outcome {
	token := wait.Seconds(1)
	if token.IsErr() {
		return failed(token.Err())
	}
	return done(baremetal_deploy_types.MakeOutcomeWait(token.Ok()))
}

func greet(node task.Node) outcome {
	if state.Get(state.Scope_Operation, nodeKey).SomeOr("") != node.Uuid {
		return failure(baremetal_deploy_types.ErrorKind_Failed, "State", "the first call's state is lost")
	}
	var info struct {
		Greeter string `json:"greeter"`
	}
	if err := json.Unmarshal([]byte(node.DriverInfo), &info); err != nil || info.Greeter == "" {
		return failure(baremetal_deploy_types.ErrorKind_MissingParameter, "Greeter", "driver_info/greeter is missing")
	}

	answer := http.Get(info.Greeter+"/"+node.Uuid, nil)
	if answer.IsErr() {
		return failed(answer.Err())
	}
	response := answer.Ok()
	if response.Status == 503 {
		return aSecond()
	}
	if response.Status != 200 || response.Body.Tag() != http.Body_Text {
		return failure(baremetal_deploy_types.ErrorKind_Failed, "Unfriendly", "the server did not greet back")
	}

	finding, err := json.Marshal([]string{"CUSTOM_GREETED_IN_GO", response.Body.Text()})
	if err != nil {
		return failure(baremetal_deploy_types.ErrorKind_Failed, "Finding", err.Error())
	}
	if put := report.Put(report.Kind_Traits, string(finding)); put.IsErr() {
		return failed(put.Err())
	}
	state.Delete(state.Scope_Operation, nodeKey)
	log.Write(log.Level_Info, "greeted")
	return done(baremetal_deploy_types.MakeOutcomeDone())
}

func GetDeploySteps() witTypes.Result[[]baremetal_deploy_types.Step, deployError] {
	return witTypes.Ok[[]baremetal_deploy_types.Step, deployError](Planned)
}

func ExecuteDeployStep(step baremetal_deploy_types.StepCall) outcome {
	if step.Step != "greet" {
		return failure(baremetal_deploy_types.ErrorKind_NotFound, "NoSuchStep", "this driver has one step: greet")
	}
	node := task.GetNode()
	if cause := task.GetCause(); cause.Tag() == task.Cause_Resumed {
		return greet(node)
	}
	if noted := state.Set(state.Scope_Operation, nodeKey, node.Uuid); noted.IsErr() {
		return failed(noted.Err())
	}
	events.Progress(witTypes.None[uint32](), "about to greet")
	return aSecond()
}
