// Package conformance runs the Gateway API's own conformance suite.
package conformance

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

// TestConformance takes the suite's own flags: profiles, features, where the report goes.
func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
