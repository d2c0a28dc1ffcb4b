// netload measures a path: `netload serve ADDRESS` at one end, `netload rr|crr|bulk ADDRESS SECONDS` at the other,
// which prints round trips, connections or bytes a second.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: netload serve ADDRESS | rr|crr|bulk ADDRESS SECONDS"))
	}
	if os.Args[1] == "serve" {
		fail(serve(os.Args[2]))
	}
	seconds, err := strconv.ParseFloat(os.Args[3], 64)
	if err != nil || seconds <= 0 || seconds > 60 {
		fail(fmt.Errorf("SECONDS is a number up to 60, not %q", os.Args[3]))
	}
	measure := map[string]func(string, time.Duration) (float64, error){"rr": rr, "crr": crr, "bulk": bulk}[os.Args[1]]
	if measure == nil {
		fail(fmt.Errorf("there is no measurement %q", os.Args[1]))
	}
	rate, err := measure(os.Args[2], time.Duration(seconds*float64(time.Second)))
	if err != nil {
		fail(err)
	}
	fmt.Printf("%.1f\n", rate)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve answers each byte with a byte; a connection that begins with 'b' is read to its end instead.
func serve(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go answer(connection)
	}
}

func answer(connection net.Conn) {
	defer connection.Close()
	one := make([]byte, 1)
	_, err := connection.Read(one)
	if err == nil && one[0] == 'b' {
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{connection}, make([]byte, 1<<20))
		return
	}
	for err == nil {
		if _, err = connection.Write(one); err == nil {
			_, err = connection.Read(one)
		}
	}
}

func dial(address string) (net.Conn, error) {
	connection, err := net.DialTimeout("tcp", address, 3*time.Second)
	if err == nil {
		err = connection.SetDeadline(time.Now().Add(70 * time.Second))
	}
	return connection, err
}

func rr(address string, duration time.Duration) (float64, error) {
	connection, err := dial(address)
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	one := []byte{'r'}
	count, start := 0, time.Now()
	for time.Since(start) < duration {
		if _, err := connection.Write(one); err != nil {
			return 0, err
		}
		if _, err := connection.Read(one); err != nil {
			return 0, err
		}
		count++
	}
	return float64(count) / time.Since(start).Seconds(), nil
}

func crr(address string, duration time.Duration) (float64, error) {
	one := []byte{'r'}
	count, start := 0, time.Now()
	for time.Since(start) < duration {
		connection, err := dial(address)
		if err != nil {
			return 0, err
		}
		// A reset instead of a FIN, so that ports are free again at once.
		_ = connection.(*net.TCPConn).SetLinger(0)
		if _, err := connection.Write(one); err != nil {
			return 0, err
		}
		if _, err := connection.Read(one); err != nil {
			return 0, err
		}
		_ = connection.Close()
		count++
	}
	return float64(count) / time.Since(start).Seconds(), nil
}

func bulk(address string, duration time.Duration) (float64, error) {
	connection, err := dial(address)
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	buffer := make([]byte, 1<<18)
	buffer[0] = 'b'
	sent, start := 0, time.Now()
	for time.Since(start) < duration {
		n, err := connection.Write(buffer)
		if err != nil {
			return 0, err
		}
		sent += n
	}
	return float64(sent) / time.Since(start).Seconds(), nil
}
