// A request through the client that openapi-generator makes for Go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	openapi "openapi"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	configuration := openapi.NewConfiguration()
	configuration.Servers = openapi.ServerConfigurations{{URL: os.Args[1]}}
	client := openapi.NewAPIClient(configuration)
	row := map[string]interface{}{
		"user":      3000000001,
		"hour":      1234567.89,
		"device":    nil,
		"interests": []string{"cars", "golf"},
	}
	ads := []map[string]interface{}{{"ad": "a1"}, {"ad": "a2"}}
	request := openapi.NewCandidatesRequest(row, ads)
	body := openapi.CandidatesRequestAsPredictRequest(request)
	answer, _, err := client.ScoringAPI.Predict(context.Background()).PredictRequest(body).Execute()
	must(err)
	fmt.Println(len(answer.Probabilities))
	ready, _, err := client.OperationAPI.Readyz(context.Background()).Execute()
	must(err)
	fmt.Println(ready.Status)
	request.Candidates = []map[string]interface{}{{"price": "3.5 EUR"}}
	body = openapi.CandidatesRequestAsPredictRequest(request)
	_, _, err = client.ScoringAPI.Predict(context.Background()).PredictRequest(body).Execute()
	var refused *openapi.GenericOpenAPIError
	if errors.As(err, &refused) {
		problem := refused.Model().(openapi.Problem)
		fmt.Println(problem.Status, problem.Code, *problem.Field)
	}
}
