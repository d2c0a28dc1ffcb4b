// Command kindconfig reads a kind configuration from standard input strictly,
// by kind's own v1alpha4 types, and prints it with kind's defaults as JSON.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	decoder := yaml.NewDecoder(in)
	decoder.KnownFields(true)
	var cluster v1alpha4.Cluster
	if err := decoder.Decode(&cluster); err != nil {
		return err
	}
	if cluster.Kind != "Cluster" || cluster.APIVersion != "kind.x-k8s.io/v1alpha4" {
		return fmt.Errorf("not a v1alpha4 Cluster but %s %s", cluster.APIVersion, cluster.Kind)
	}
	v1alpha4.SetDefaultsCluster(&cluster)
	return json.NewEncoder(out).Encode(cluster)
}
