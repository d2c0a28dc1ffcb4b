// mapwatch reads Weft's pinned maps from outside of the agent and says when they hold what is waited for.
//
//	mapwatch verdict DIRECTORY                             each line of input: POD PEER ALLOWED DENIED
//	mapwatch count DIRECTORY PODS POLICY ADDRESSES SERVICES
//
// `verdict` waits until the pod's ingress policy allows TCP port ALLOWED from the peer and does not allow port DENIED
// (0: no port). `count` waits until there are that many pods with a policy, with the programs attached to their devices,
// and at least that many rows of each map.
// Both print CLOCK_MONOTONIC in nanoseconds.
package main

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	pollEvery  = 100 * time.Microsecond
	countEvery = time.Millisecond // walking maps costs more
	giveUp     = 60 * time.Second
)

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "verdict":
		err = verdicts(os.Args[2])
	case len(os.Args) == 7 && os.Args[1] == "count":
		err = count(os.Args[2], os.Args[3:])
	default:
		err = fmt.Errorf("usage: mapwatch verdict DIRECTORY | count DIRECTORY PODS POLICY ADDRESSES SERVICES")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// maps are those that a verdict is made of, by name.
type maps map[string]fd

func open(directory string) (maps, error) {
	all := maps{}
	for _, name := range []string{"addresses", "policy", "pods", "pod_by_addr", "services"} {
		path := filepath.Join(directory, "weft_"+name)
		found, err := openPinned(path)
		if err != nil {
			all.close()
			return nil, fmt.Errorf("opening the map %s: %w", path, err)
		}
		all[name] = found
	}
	return all, nil
}

func (m maps) close() {
	for _, one := range m {
		one.close()
	}
}

func verdicts(directory string) error {
	all, err := open(directory)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) != 4 {
			return fmt.Errorf("a line is POD PEER ALLOWED DENIED, not %q", lines.Text())
		}
		pod, err := netip.ParseAddr(words[0])
		if err != nil {
			return err
		}
		peer, err := netip.ParseAddr(words[1])
		if err != nil {
			return err
		}
		ports, err := numbers(words[2:])
		if err != nil {
			return err
		}
		at := func(port int) bool { return all.allows(pod, peer, uint16(port)) }
		when, err := wait(func() bool { return at(ports[0]) && (ports[1] == 0 || !at(ports[1])) }, pollEvery)
		if err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
		fmt.Println(when)
	}
	return lines.Err()
}

func count(directory string, wanted []string) error {
	least, err := numbers(wanted)
	if err != nil {
		return err
	}
	var all maps
	when, err := wait(func() bool {
		// The agent makes the maps: until then there is nothing to open.
		if all == nil {
			all, _ = open(directory)
		}
		return all != nil && attached(directory) >= 2*least[0] && all["services"].atLeast(24, least[3]) && all.pods() >= least[0] &&
			all["policy"].atLeast(24, least[1]) && all["addresses"].atLeast(20, least[2])
	}, countEvery)
	if err != nil {
		return err
	}
	fmt.Println(when)
	return nil
}

// attached counts the pinned links of pods' devices: each pod has one for each direction.
func attached(directory string) int {
	links, _ := filepath.Glob(filepath.Join(directory, "links", "pod-*"))
	return len(links)
}

func numbers(words []string) ([]int, error) {
	result := make([]int, len(words))
	for i, word := range words {
		number, err := strconv.Atoi(word)
		if err != nil || number < 0 {
			return nil, fmt.Errorf("%q is not a number", word)
		}
		result[i] = number
	}
	return result, nil
}

// wait polls and returns the time at which what was waited for had been read.
func wait(done func() bool, every time.Duration) (int64, error) {
	for end := monotonic() + giveUp.Nanoseconds(); monotonic() < end; time.Sleep(every) {
		if done() {
			return monotonic(), nil
		}
	}
	return 0, fmt.Errorf("gave up after %v", giveUp)
}
