// Command coredns is the cluster's DNS server with the plugins that a cluster
// needs, and no other: CoreDNS's own command links some fifty.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
)

func main() {
	// The order in which plugins see a query: that of CoreDNS's plugin.cfg.
	dnsserver.Directives = []string{"reload", "ready", "health", "errors", "cache", "kubernetes", "forward"}
	coremain.Run()
}
