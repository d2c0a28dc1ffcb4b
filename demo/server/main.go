// The demo's program: an HTTP, TCP and UDP server, and the clients that curl can't be.
package main

import (
	"fmt"
	"os"
)

const usage = `usage: demo COMMAND

  serve                        HTTP on :80, TCP echo on :7000, UDP echo on :7001, both families
  tcp ADDRESS [TIMEOUT]        connect, send a line, expect it back; prints "ok" or the error
  udp ADDRESS [TIMEOUT]        send a datagram, expect it back; prints the sender's address or the error
  raw ADDRESS [TIMEOUT]        send stdin as it is; print what comes back until TIMEOUT without a byte
  load URL NEW HELD SECONDS    NEW connections a second and HELD long ones that never retry; a JSON line for
                               each error with its time, then a summary
  probe SECONDS TARGET...      try tcp/ADDRESS and udp/ADDRESS again and again; a JSON line for each attempt
`

func main() {
	commands := map[string]func([]string) error{"serve": serve, "tcp": once(askTCP), "udp": once(askUDP), "raw": raw, "load": load, "probe": probe}
	if len(os.Args) > 1 {
		if run, ok := commands[os.Args[1]]; ok {
			if err := run(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	fmt.Fprint(os.Stderr, usage)
	os.Exit(2)
}
