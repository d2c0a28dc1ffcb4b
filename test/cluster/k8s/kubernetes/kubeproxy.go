//go:build kubeproxy

package main

import proxy "k8s.io/kubernetes/cmd/kube-proxy/app"

// Weft needs no kube-proxy; benchmarks that compare with it build with
// `-tags kubeproxy`.
func init() {
	components["kube-proxy"] = proxy.NewProxyCommand
}
