package main

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// raw sends what it reads from stdin, byte for byte, and writes what comes back until the other end closes or has said
// nothing for TIMEOUT.
func raw(arguments []string) error {
	address, limit, err := timeout(arguments)
	if err != nil {
		return err
	}
	connection, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		return err
	}
	defer connection.Close()
	if _, err := io.Copy(connection, os.Stdin); err != nil {
		return err
	}
	buffer := make([]byte, 16384)
	for {
		_ = connection.SetReadDeadline(time.Now().Add(limit))
		length, err := connection.Read(buffer)
		_, _ = os.Stdout.Write(buffer[:length])
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
