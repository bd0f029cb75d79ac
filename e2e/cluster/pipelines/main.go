// pipelines asks for a verdict as two pipelines do, in their own code, and prints what they make of it:
// pipelines argo < ANALYSISTEMPLATE, one measurement of each metric; pipelines flagger < SPEC, each webhook of a
// Canary's spec.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/argoproj/argo-rollouts/metricproviders/webmetric"
	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	analysisutil "github.com/argoproj/argo-rollouts/utils/analysis"
	flaggerv1 "github.com/fluxcd/flagger/pkg/apis/flagger/v1beta1"
	"github.com/fluxcd/flagger/pkg/controller"
	log "github.com/sirupsen/logrus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// said is told by the name of a metric or webhook.
type said map[string]any

var pipelines = map[string]func(given []byte) (said, error){"argo": argo, "flagger": flagger}

func main() {
	if len(os.Args) != 2 || pipelines[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: pipelines argo|flagger < DOCUMENT")
		os.Exit(64)
	}
	if err := run(pipelines[os.Args[1]]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ask func([]byte) (said, error)) error {
	given, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	found, err := ask(given)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func argo(given []byte) (said, error) {
	template := v1alpha1.AnalysisTemplate{}
	if err := yaml.UnmarshalStrict(given, &template); err != nil {
		return nil, err
	}
	if err := analysisutil.ValidateMetrics(template.Spec.Metrics); err != nil {
		return nil, err
	}
	all := said{}
	for _, metric := range template.Spec.Metrics {
		found, err := measure(metric)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", metric.Name, err)
		}
		all[metric.Name] = found
	}
	return all, nil
}

func measure(metric v1alpha1.Metric) (v1alpha1.Measurement, error) {
	client, err := webmetric.NewWebMetricHttpClient(metric)
	if err != nil {
		return v1alpha1.Measurement{}, err
	}
	parser, err := webmetric.NewWebMetricJsonParser(metric)
	if err != nil {
		return v1alpha1.Measurement{}, err
	}
	provider := webmetric.NewWebMetricProvider(*log.NewEntry(log.StandardLogger()), client, parser)
	return provider.Run(&v1alpha1.AnalysisRun{}, metric), nil
}

func flagger(given []byte) (said, error) {
	canary := flaggerv1.Canary{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "census"}}
	if err := yaml.UnmarshalStrict(given, &canary.Spec); err != nil {
		return nil, err
	}
	all := said{}
	for _, hook := range canary.GetAnalysis().Webhooks {
		refused := ""
		if err := controller.CallWebhook(canary, flaggerv1.CanaryPhaseProgressing, hook); err != nil {
			refused = err.Error()
		}
		all[hook.Name] = map[string]any{"type": hook.Type, "passed": refused == "", "message": refused}
	}
	return all, nil
}
