package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	probeEvery = 150 * time.Millisecond
	// Below TCP's first retransmission: what a probe tells is the verdict on its one packet.
	probeLimit = 900 * time.Millisecond
)

// attempt is one try at a target, never repeated.
type attempt struct {
	Target string    `json:"target"`
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended"`
	Error  string    `json:"error,omitempty"`
}

// probe tries all targets again and again until the time is over, and prints a line of JSON for each attempt.
func probe(arguments []string) error {
	if len(arguments) < 2 {
		return fmt.Errorf("at least two arguments: SECONDS, and targets as tcp/10.0.0.1:7000")
	}
	seconds, err := strconv.Atoi(arguments[0])
	if err != nil || seconds < 1 || seconds > 3600 {
		return fmt.Errorf("%q is not a number of seconds from 1 to 3600", arguments[0])
	}
	until := time.Now().Add(time.Duration(seconds) * time.Second)
	var work sync.WaitGroup
	var lock sync.Mutex
	out := json.NewEncoder(os.Stdout)
	for _, target := range arguments[1:] {
		protocol, address, _ := strings.Cut(target, "/")
		ask, known := map[string]func(string, time.Duration) (string, error){"tcp": askTCP, "udp": askUDP}[protocol]
		if !known {
			return fmt.Errorf("%q is not a target as tcp/10.0.0.1:7000 or udp/[fd00::1]:7001", target)
		}
		work.Add(1)
		go func() {
			defer work.Done()
			for time.Now().Before(until) {
				result := attempt{Target: target, Began: time.Now().UTC()}
				if _, err := ask(address, probeLimit); err != nil {
					result.Error = err.Error()
				}
				result.Ended = time.Now().UTC()
				lock.Lock()
				_ = out.Encode(result)
				lock.Unlock()
				time.Sleep(probeEvery)
			}
		}()
	}
	work.Wait()
	return nil
}
