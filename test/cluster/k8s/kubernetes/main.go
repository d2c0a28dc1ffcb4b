// Command kubernetes is every process of a test cluster in one binary: linked
// once, and dispatched by the name that it is called by or by its first
// argument (`kubernetes kubelet …`, or a symbolic link named `kubelet`).
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// components maps a name to the command's constructor. Only the one that was
// asked for is constructed: they register overlapping global flags.
var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubectl":                 kubectl.NewDefaultKubectlCommand,
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

func main() {
	args := os.Args
	if !known(filepath.Base(args[0])) {
		args = args[1:]
	}
	if len(args) == 0 || !known(filepath.Base(args[0])) {
		names := append(slices.Sorted(maps.Keys(components)), "etcd")
		fmt.Fprintf(os.Stderr, "usage: kubernetes COMPONENT ARGS, where COMPONENT is one of: %s\n", strings.Join(names, ", "))
		os.Exit(2)
	}
	os.Args = args
	name := filepath.Base(args[0])
	if name == "etcd" {
		etcdmain.Main(args)
		return
	}
	os.Exit(cli.Run(components[name]()))
}

func known(name string) bool {
	return name == "etcd" || components[name] != nil
}
