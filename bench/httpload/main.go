// httpload measures requests: `httpload serve ADDRESS` at one end (HTTP/1.1 and HTTP/2 without TLS; gRPC's health
// service on the next port), at the other `httpload run h1|h2|grpc ADDRESS CONNECTIONS SECONDS [RATE [PID,PID…]]`, which
// prints {"requests", "errors", "seconds", "p50_us", "p99_us", "cpu_us"}. RATE: requests a second at which they are due,
// all connections together, 0 for as many as are answered; a latency counts from when its request was due. cpu_us is
// what the processes took meanwhile. `httpload probe ADDRESS` reads paths from its input, a line each, asks for each
// until the answer is 200, and then says "ok".
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

const usage = "usage: httpload serve ADDRESS | run h1|h2|grpc ADDRESS CONNECTIONS SECONDS [RATE [PID,PID…]] | probe ADDRESS"

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		err = serve(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "probe":
		err = probe(os.Args[2])
	case len(os.Args) >= 6 && len(os.Args) <= 8 && os.Args[1] == "run":
		err = run(os.Args[2:])
	default:
		err = fmt.Errorf("%s", usage)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	load := load{kind: args[0], address: args[1]}
	var err error
	if load.connections, err = strconv.Atoi(args[2]); err != nil || load.connections < 1 || load.connections > 10_000 {
		return fmt.Errorf("CONNECTIONS is a number from 1 to 10000, not %q", args[2])
	}
	seconds, err := strconv.ParseFloat(args[3], 64)
	if err != nil || seconds <= 0 || seconds > 600 {
		return fmt.Errorf("SECONDS is a number up to 600, not %q", args[3])
	}
	load.duration = time.Duration(seconds * float64(time.Second))
	if len(args) > 4 {
		if load.rate, err = strconv.ParseFloat(args[4], 64); err != nil || load.rate < 0 {
			return fmt.Errorf("RATE is a number of requests a second, not %q", args[4])
		}
	}
	if len(args) > 5 {
		load.pids = strings.Split(args[5], ",")
	}
	result, err := load.measure()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// probe asks every millisecond, on one connection as long as it lasts.
func probe(address string) error {
	paths := bufio.NewScanner(os.Stdin)
	var client *http1
	for paths.Scan() {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				return fmt.Errorf("%s was not served within 30 s", paths.Text())
			}
			if client == nil {
				connection, err := net.DialTimeout("tcp", address, time.Second)
				if err != nil {
					continue
				}
				client = newHTTP1(connection)
			}
			status, err := client.get(paths.Text())
			if err != nil {
				client.close()
				client = nil
			} else if status == 200 {
				break
			}
		}
		fmt.Println("ok")
	}
	return paths.Err()
}
